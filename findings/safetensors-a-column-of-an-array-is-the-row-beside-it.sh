#!/usr/bin/env bash
# Packages: safetensors 0.8.0, astropy 8.0.2 with numpy 2.4.6.
# Behaviour: safetensors.numpy.save and save_file write the bytes of an array in the order of memory, with the array's
#   shape. Of a view whose numbers do not lie one behind the other, a column, a transposed image, every second sample or
#   the columns that a list chooses, other numbers are in the file: column 1 of a table is read as a part of row 0. The
#   mask of a masked array and the unit of a Quantity are gone, and the numbers under the mask are left. Nothing raises or
#   warns. The docstring says "Tensors need to be contiguous and dense", and not what happens to others.
#   numpy.save and pickle keep the views; numpy.ascontiguousarray before save makes them right.
# Seen 2026-12-02: of arange(12) in three rows, column 1, [1, 5, 9], is read as [1, 2, 3]; [:, [1, 2]] as [[1, 5], [9, 2],
#   [6, 10]]; a masked -999 as -999.
# Fails (exit 1) when the column is kept or refused.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/env"; "$dir/env/bin/pip" install -q --no-compile --disable-pip-version-check --only-binary=:all: safetensors==0.8.0 astropy==8.0.2 numpy==2.4.6
cat > "$dir/views.py" <<'P'
import pickle
import sys
import warnings

import numpy as np
from astropy import units as u
from safetensors.numpy import load, save

warnings.simplefilter("error")
table = np.arange(12.0).reshape(3, 4)


def saved(array):
    return load(save({"x": array}))["x"]


views = {
    "rows 1 and 2": table[1:],
    "column 1": table[:, 1],
    "transposed": table.T,
    "every second column": table[:, ::2],
    "columns of a list": table[:, [1, 2]],
}
found = {}
for name, view in views.items():
    found[name] = bool((saved(view) == view).all())
    print(f"{name}: {view.tolist()} is read as {saved(view).tolist()}")
    assert (pickle.loads(pickle.dumps(view)) == view).all()
    assert (saved(np.ascontiguousarray(view)) == view).all()
masked = saved(np.ma.array([1.0, -999.0], mask=[False, True]))
length = saved([1.0, 2.0] * u.km)
print("masked -999:", repr(masked), "and km:", repr(length))
is_as_seen = list(found.values()) == [True, False, False, False, False]
is_as_seen = is_as_seen and type(masked) is type(length) is np.ndarray and masked[1] == -999
if not is_as_seen:
    print("CHANGED")
sys.exit(not is_as_seen)
P
"$dir/env/bin/python" "$dir/views.py"
