#!/usr/bin/env bash
# Packages: astropy 8.0.2 with numpy 2.4.6.
# Behaviour: a base unit that a program has defined, u.def_unit(name), comes back from pickle as the unit that astropy has
#   under that name, of another dimension: 3 grey levels ("gray") of a camera are 3 J/kg then, 3 of "d" are 3 days, and
#   convert without an error.  copy.copy and copy.deepcopy keep the unit, and a unit whose name astropy has not comes
#   back as one of that name.
# Seen 2026-12-01: (3 * u.def_unit("gray")) after pickle .to(u.J / u.kg) is 3.0; before, UnitConversionError.
# Fails (exit 1) when the unit that comes back is not a dose.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/env"; "$dir/env/bin/pip" install -q --disable-pip-version-check --only-binary=:all: astropy==8.0.2 numpy==2.4.6
cat > "$dir/units.py" <<'P'
import copy
import pickle
import sys

from astropy import units as u

dose = u.J / u.kg
levels = 3 * u.def_unit("gray")
for how, made in (
    ("defined", levels),
    ("copy.deepcopy", copy.deepcopy(levels)),
    ("another name", pickle.loads(pickle.dumps(3 * u.def_unit("greylevel")))),
    ("pickle", pickle.loads(pickle.dumps(levels))),
):
    is_dose = made.unit.is_equivalent(dose)
    print(f"{how:14} {made!s:16} a dose: {is_dose}")
    assert how == "pickle" or not is_dose, how
if is_dose:
    print("converted:", made.to(dose))
else:
    print("CHANGED")
sys.exit(not is_dose)
P
"$dir/env/bin/python" "$dir/units.py"
