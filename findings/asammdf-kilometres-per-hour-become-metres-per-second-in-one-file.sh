#!/usr/bin/env bash
# Packages: asammdf 8.8.28 with numpy 2.4.6.
# Behaviour: a channel of an MDF file, of a test drive for instance, has whole numbers, a conversion (a factor and an
#   offset) and a unit. MDF.concatenate of files with the same channels puts their raw numbers one behind the other, under
#   the conversion and the unit of the first: with a factor of 0.1 in one file and of 0.5 in the next, all is read by 0.1,
#   and 36 km/h after 10 m/s are 36 m/s. Signal.extend does the same, as does + of two signals with units.
#   MDF.stack and to_dataframe of each file are right. Nothing raises or warns. The docstring says that the files must
#   have "the same internal structure (same number of groups, and same channels in each group)", that it raises
#   "MdfException: If there are inconsistencies between the files", and nothing of units and factors. Files whose channels
#   have other names are an error.
# Seen 2026-12-02: 10, 20, 30 by a factor of 0.5 are 1, 2, 3 after those of 0.1, in place of 5, 10, 15; in the other order
#   those of 0.1 are 5, 10, 15.
# Fails (exit 1) when the second file has its numbers, or is refused.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/env"; "$dir/env/bin/pip" install -q --no-compile --disable-pip-version-check --only-binary=:all: asammdf==8.8.28 numpy==2.4.6
cat > "$dir/drives.py" <<'P'
import sys
import warnings

import numpy as np
from asammdf import MDF, Signal

warnings.simplefilter("error")
times = np.arange(3.0)


def drive(samples, unit, factor=None):
    file = MDF()
    conversion = factor and {"a": factor, "b": 0.0}
    file.append(Signal(samples=samples, timestamps=times, name="speed", unit=unit, conversion=conversion))
    return file


raw = np.array([10, 20, 30], dtype="u1")
coarse, fine = drive(raw, "m/s", 0.5), drive(raw, "m/s", 0.1)
print("alone, factor 0.1:", fine.get("speed").samples, "factor 0.5:", coarse.get("speed").samples)
assert np.allclose(fine.get("speed").samples, [1, 2, 3]) and np.allclose(coarse.get("speed").samples, [5, 10, 15])
both = MDF.concatenate([fine, coarse]).get("speed").samples
turned = MDF.concatenate([coarse, fine]).get("speed").samples
print("0.1 and then 0.5:", both)
print("0.5 and then 0.1:", turned)

metres, kilometres = drive(np.array([10.0, 20, 30]), "m/s"), drive(np.array([36.0, 72, 108]), "km/h")
joined = MDF.concatenate([metres, kilometres]).get("speed")
one, two = metres.get("speed"), kilometres.get("speed")
extended, added = one.extend(two), one + two
print("m/s and then km/h:", joined.samples, joined.unit)
print("by Signal.extend: ", extended.samples, extended.unit, " sum:", added.samples, added.unit)
stacked = [(signal.samples.tolist(), signal.unit) for signal in MDF.stack([metres, kilometres]).iter_channels()]
assert stacked == [([10, 20, 30], "m/s"), ([36, 72, 108], "km/h")]

is_as_seen = np.allclose(both, [1, 2, 3, 1, 2, 3]) and np.allclose(turned, [5, 10, 15, 5, 10, 15])
is_as_seen = is_as_seen and (joined.samples[3], joined.unit) == (extended.samples[3], extended.unit) == (36, "m/s")
if not is_as_seen:
    print("CHANGED")
sys.exit(not is_as_seen)
P
"$dir/env/bin/python" "$dir/drives.py"
