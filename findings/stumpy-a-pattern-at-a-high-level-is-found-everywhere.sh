#!/usr/bin/env bash
# Packages: stumpy 1.14.1, numba 0.68.1, scipy 1.17.1 with numpy 2.4.6.
# Behaviour: stumpy.mass gives the distance of a pattern to each part of a series, of which match and motifs make their
#   lists. Mean and deviation are taken out first, so that the level of the series does not matter; but the
#   products are those of the series as it is, and the digits that matter are lost where the level is high against what
#   varies, as in times, counters and frequencies in Hz. At 1e7 the distance of a pattern to itself, which is 0, is 1.3,
#   and 0 is somewhere else; at 1e8 it is 0 to 443 of 471 parts, and match finds 53 in place of 9. stump, scrump and aamp
#   are right at the same level (within 1e-6), as is mass of series - series.mean(). Nothing raises or warns; the
#   docstring says "Compute the distance profile using the MASS algorithm", and nothing of the level.
# Seen 2026-12-02: a sine of amplitude 1 with noise, part 200: at the levels 0 and 1e6 nearest 200; 1e7: 219; 1e8: 0.
# Fails (exit 1) when the pattern is nearest to itself at each level, or a warning is raised.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/env"; "$dir/env/bin/pip" install -q --no-compile --disable-pip-version-check --only-binary=:all: stumpy==1.14.1 numba==0.68.1 scipy==1.17.1 numpy==2.4.6
cat > "$dir/levels.py" <<'P'
import sys
import warnings

import numpy as np
import stumpy

warnings.simplefilter("error")
LENGTH, PLACE = 30, 200
series = np.sin(np.arange(500) / 3) + 0.3 * np.random.default_rng(0).random(500)
right_profile = stumpy.stump(series, LENGTH)[:, 0].astype(float)


def standardized(part):
    return (part - part.mean()) / part.std()


found = {}
for level in (0.0, 1e6, 1e7, 1e8):
    raised = series + level
    pattern = raised[PLACE : PLACE + LENGTH]
    distances = stumpy.mass(pattern, raised)
    parts = np.lib.stride_tricks.sliding_window_view(raised, LENGTH)
    right = [np.linalg.norm(standardized(pattern) - standardized(part)) for part in parts]
    matches = len(stumpy.match(pattern, raised, max_distance=1.0))
    error = np.abs(distances - right).max()
    found[level] = int(distances.argmin()), matches
    print(f"level {level:.0e}: nearest part {distances.argmin()}, distance to itself {distances[PLACE]:.2g},", end=" ")
    print(f"parts at 0: {(distances == 0).sum()}, largest error {error:.2g}, matches {matches}")
    centred = raised - raised.mean()
    assert np.abs(stumpy.mass(centred[PLACE : PLACE + LENGTH], centred) - right).max() < 1e-4
    assert np.abs(stumpy.stump(raised, LENGTH)[:, 0].astype(float) - right_profile).max() < 1e-4
assert found[0] == found[1e6] == (PLACE, found[0][1])
is_as_seen = found[1e8][0] != PLACE and found[1e8][1] > 2 * found[0][1]
if not is_as_seen:
    print("CHANGED")
sys.exit(not is_as_seen)
P
"$dir/env/bin/python" "$dir/levels.py"
