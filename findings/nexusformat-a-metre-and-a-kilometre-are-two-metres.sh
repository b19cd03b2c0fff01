#!/usr/bin/env bash
# Packages: nexusformat 2.1.0 with numpy 2.4.6.
# Behaviour: an NXfield of a NeXus file, of neutrons and X-rays, has a unit, field.units. What is computed has the unit of
#   the left field and takes the numbers alone: 1 m + 1 km is 2 m, m * km, m / m and m ** 2 are in m, and 1 m == 1 km is
#   True. NXdata does the same, and adds spectra of one length whatever their axes: a run from 10 to 12 mm is added to the
#   run from 0 to 2 mm as if both were there. Nothing raises or warns. That names and values of axes are not compared is
#   in the docstring of NXdata.__add__ ("rounding errors do not make the operation fail"); the one of NXfield.__add__
#   is "Return the sum of the field and a field/number", without a word of units.
# Seen 2026-12-02: 1 m + 1 km: 2 m; 1 m == 1 km: True; 3 m ** 2: 9 m; NXdata in counts and kcounts: 2 counts.
# Fails (exit 1) when the sum is 1001 m, or refused.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/env"; "$dir/env/bin/pip" install -q --no-compile --disable-pip-version-check --only-binary=:all: nexusformat==2.1.0 numpy==2.4.6
cat > "$dir/fields.py" <<'P'
import sys
import warnings

from nexusformat.nexus import NXdata, NXfield

warnings.simplefilter("error")


def shown(field):
    return float(field.nxdata), str(field.units)


metre, kilometre, three = NXfield(1.0, units="m"), NXfield(1.0, units="km"), NXfield(3.0, units="m")
results = {
    "1 m + 1 km": shown(metre + kilometre),
    "1 m * 1 km": shown(metre * kilometre),
    "3 m / 1 m": shown(three / metre),
    "3 m ** 2": shown(three**2),
}
for name, result in results.items():
    print(f"{name}: {result}")
are_equal = bool(metre == kilometre)
print("1 m == 1 km:", are_equal)


def run(first, unit):
    axis = NXfield([first, first + 1, first + 2], name="x", units="mm")
    return NXdata(NXfield([1.0, 1.0, 1.0], name="counts", units=unit), [axis])


total = run(0.0, "counts") + run(10.0, "kcounts")
counts, unit, axis = total["counts"].nxdata.tolist(), str(total["counts"].units), total["x"].nxdata.tolist()
print("runs of 1 count at 0 to 2 mm and 1 kcount at 10 to 12 mm:", counts, unit, "at", axis, "mm")
is_as_seen = are_equal and list(results.values()) == [(2.0, "m"), (1.0, "m"), (3.0, "m"), (9.0, "m")]
is_as_seen = is_as_seen and (counts, unit, axis) == ([2.0] * 3, "counts", [0.0, 1.0, 2.0])
if not is_as_seen:
    print("CHANGED")
sys.exit(not is_as_seen)
P
"$dir/env/bin/python" "$dir/fields.py"
