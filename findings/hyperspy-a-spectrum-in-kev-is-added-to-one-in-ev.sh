#!/usr/bin/env bash
# Packages: hyperspy 2.5.0, rosettasciio 0.15.0 with numpy 2.4.6.
# Behaviour: a signal has axes with scale, offset and units, the energies of a spectrum for instance. a + b, a - b, a / b and
#   a += b take the numbers channel by channel, whatever the axes are, and the result has the axes of the first: a line
#   at 30 eV and one at 30 keV are one line at 30 eV, as are those of another scale or offset. stack of the same
#   two logs "Axis calibration mismatch". The numbers keep their type, counts of 200 and 100 in uint8 are 44, and diff
#   of 200, 10 is 66; sum and rebin of them are right. No signal can be pickled, TypeError "cannot pickle 'generator'
#   object", which names no attribute; copy.copy and deepcopy work. Nothing raises or warns in arithmetic.
# Seen 2026-12-02: 30 eV + 30 keV, channel 3 of each: one line of height 2 at 30 eV; 200 + 100 = 44.
# Fails (exit 1) when the two are not added, or a warning is raised, or a signal can be pickled.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/env"; "$dir/env/bin/pip" install -q --no-compile --disable-pip-version-check --only-binary=:all: hyperspy==2.5.0 rosettasciio==0.15.0 numpy==2.4.6
cat > "$dir/spectra.py" <<'P'
import copy
import pickle
import sys
import warnings

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from hyperspy.api import signals
import numpy as np

warnings.simplefilter("error")


def spectrum(numbers, scale=10.0, offset=0.0, units="eV"):
    made = signals.Signal1D(np.asarray(numbers))
    axis = made.axes_manager[-1]
    axis.name, axis.scale, axis.offset, axis.units = "energy", scale, offset, units
    return made


def lines(made):
    axis = made.axes_manager[-1]
    return [(float(axis.axis[place]), axis.units, float(made.data[place])) for place in np.flatnonzero(made.data)]


line = [0.0, 0.0, 0.0, 1.0, 0.0]
first, found = spectrum(line), {}
for what, second in {
    "units": spectrum(line, units="keV"),
    "scale": spectrum(line, scale=50.0),
    "offset": spectrum(line, offset=500.0),
}.items():
    found[what] = lines(first + second)
    print(f"other {what:6}: {lines(first)} + {lines(second)} = {found[what]}")
    inplace = copy.deepcopy(first)
    inplace += second
    assert lines(inplace) == found[what]

counts = spectrum(np.array([200, 10, 10], dtype="u1")) + spectrum(np.array([100, 1, 1], dtype="u1"))
steps = spectrum(np.array([200, 10, 20], dtype="u1")).diff(-1).data.tolist()
print("uint8: 200 + 100 =", counts.data[0], "  differences of 200, 10, 20:", steps)
try:
    outcome = str(lines(pickle.loads(pickle.dumps(first))))
except TypeError as error:
    outcome = f"TypeError: {error}"
print("pickle:", outcome)
is_as_seen = all(sums == [(30, "eV", 2)] for sums in found.values())
is_as_seen = is_as_seen and counts.data[0] == 44 and steps == [66, 10] and outcome.startswith("TypeError")
if not is_as_seen:
    print("CHANGED")
sys.exit(not is_as_seen)
P
"$dir/env/bin/python" "$dir/spectra.py"
