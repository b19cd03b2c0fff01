#!/usr/bin/env bash
# Packages: pyabf 2.3.8 with numpy 2.4.6, pandas 3.1.1.
# Behaviour: import pyabf calls numpy.set_printoptions(precision=4, suppress=True, threshold=5) for the whole program.
#   From then on str, repr, print and f"{array}" of any array have four decimals, 0 for what is below, and of more
#   than five elements the first and last three with dots between. All that writes an array as text has these numbers:
#   a log, CSV of pandas with arrays in cells, repr that is read again by a program. The numbers of the arrays are
#   the same, and numpy.savetxt, tolist() and single numbers are right. Nothing warns, and the readme says nothing of
#   it. Once numpy.set_printoptions is called after the import, its options hold.
# Seen 2026-12-03: [1.5e-07 1.23456789e+02] -> [0. 123.4568]; a cell of ten numbers in CSV -> [0. 0. 0. ... 0. 0. 0.].
# Fails (exit 1) when importing pyabf leaves NumPy as it was.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/env"; "$dir/env/bin/pip" install -q --no-compile --disable-pip-version-check --only-binary=:all: pyabf==2.3.8 numpy==2.4.6 pandas==3.1.1
cat > "$dir/text.py" <<'P'
import io
import sys

import numpy as np
import pandas

currents = np.array([1.5e-7, 123.456789])
small = np.arange(10) * 1e-6


def texts():
    table = io.StringIO()
    pandas.DataFrame({"run": [1], "currents": [small]}).to_csv(table, index=False)
    saved = io.StringIO()
    np.savetxt(saved, currents)
    return {
        "str": str(currents),
        "repr": repr(currents),
        "f-string": f"{currents}",
        "CSV of pandas": table.getvalue().splitlines()[1:],
        "savetxt": saved.getvalue().split(),
        "tolist": str(currents.tolist()),
    }


def numbers(text):
    return [float(word) for word in text.strip("[]").split()]


options = np.get_printoptions()
before = texts()
assert np.allclose(numbers(before["str"]), currents, rtol=1e-7, atol=0)
import pyabf  # noqa: E402

after = texts()
for name in before:
    print(f"{name}: {before[name]} -> {after[name]}")
new = np.get_printoptions()
changed = {name: (options[name], new[name]) for name in options if options[name] != new[name]}
print("options that the import has changed:", changed)
assert pyabf.__version__ and currents.tolist() == [1.5e-7, 123.456789]
np.set_printoptions(**{name: old for name, (old, _) in changed.items()})
print("after numpy.set_printoptions with the old ones:", currents)
assert texts() == before

is_as_seen = (
    numbers(after["str"]) == numbers(after["f-string"]) == [0.0, 123.4568]
    and "..." in str(after["CSV of pandas"])
    and "..." not in str(before["CSV of pandas"])
    and before["savetxt"] == after["savetxt"]
    and before["tolist"] == after["tolist"]
    and {name: value for name, (_, value) in changed.items()} == {"precision": 4, "suppress": True, "threshold": 5}
)
if not is_as_seen:
    print("CHANGED")
sys.exit(not is_as_seen)
P
"$dir/env/bin/python" "$dir/text.py"
