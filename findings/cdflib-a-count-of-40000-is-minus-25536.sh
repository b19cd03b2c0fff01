#!/usr/bin/env bash
# Packages: cdflib 1.3.16 with numpy 2.4.6.
# Behaviour: a variable of a CDF file, of a space mission for instance, has a type, Data_Type, as the mission prescribes it.
#   CDF.write_var takes what does not fit modulo the size of that type: 40000 in CDF_INT2 is -25536, 300 in CDF_UINT1 is
#   44, 2**40 in CDF_INT4 is 0. Fractions are cut in integer types, -1.7 is -1, and a masked sample is the number
#   under its mask, where FILLVAL would be expected. None of these raises or warns; nan in an integer type is a
#   RuntimeWarning of NumPy. The docstring has the types and nothing of their ranges.
# Seen 2026-12-02: 40000 -> -25536, 300 -> 44, 2**40 -> 0, -1.7 -> -1, a masked -999 -> -999.
# Fails (exit 1) when what does not fit raises, warns, or is read as it was.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/env"; "$dir/env/bin/pip" install -q --no-compile --disable-pip-version-check --only-binary=:all: cdflib==1.3.16 numpy==2.4.6
cat > "$dir/counts.py" <<'P'
import sys
import warnings

import numpy as np
from cdflib import CDF
from cdflib.cdfwrite import CDF as Writer

warnings.simplefilter("error")
TYPES = {"CDF_UINT1": 11, "CDF_INT2": 2, "CDF_INT4": 4, "CDF_INT8": 8, "CDF_DOUBLE": 45}
written_files = 0


def written(numbers, kind):
    global written_files
    written_files += 1
    name = f"counts{written_files}.cdf"
    file = Writer(name)
    variable = {"Variable": "counts", "Data_Type": TYPES[kind], "Num_Elements": 1, "Rec_Vary": True, "Dim_Sizes": []}
    file.write_var(variable, var_data=numbers)
    file.close()
    found = CDF(name).varget("counts").tolist()
    print(f"{kind:10} {numbers.tolist()} -> {found}")
    return found


assert written(np.array([40000]), "CDF_INT4") == [40000] and written(np.array([2**40]), "CDF_INT8") == [2**40]
assert written(np.array([-1.7]), "CDF_DOUBLE") == [-1.7]
found = written(np.array([40000]), "CDF_INT2") + written(np.array([300]), "CDF_UINT1")
found += written(np.array([2**40]), "CDF_INT4") + written(np.array([-1.7]), "CDF_INT4")
masked = written(np.ma.masked_array([1.0, -999.0], [False, True]), "CDF_DOUBLE")
is_as_seen = found == [-25536, 44, 0, -1] and masked == [1, -999]
if not is_as_seen:
    print("CHANGED")
sys.exit(not is_as_seen)
P
cd "$dir" && "$dir/env/bin/python" counts.py
