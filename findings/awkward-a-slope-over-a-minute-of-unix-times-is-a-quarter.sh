#!/usr/bin/env bash
# Packages: awkward 2.14.0 with numpy 2.4.6.
# Behaviour: awkward.linear_fit makes its line from sums of x, y, x**2 and x*y.  Where x is large against its range, as
#   seconds since 1970 or Julian days are, the digits that matter are lost, and the slope is any number: over a minute of
#   samples at 1 Hz on a line of slope 2 it is 0.51, over ten seconds infinite, over 0.1 s at 1 kHz a negative one.  The
#   slope_error is no warning, since it is of the same sums.  numpy.polyfit is right for the same numbers, and so is
#   linear_fit of x - mean(x).  Nothing warns, unless delta is 0.
#   The docstring gives the formula, and no word of the range of x.
# Seen 2026-12-01: slopes of a line of slope 2: 0.5148 (60 samples, 1 s apart), -4e-06 (100, 1 ms), polyfit 2.0000.
# Fails (exit 1) when the slopes are 2.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/env"; "$dir/env/bin/pip" install -q --no-compile --disable-pip-version-check --only-binary=:all: awkward==2.14.0 numpy==2.4.6
cat > "$dir/slopes.py" <<'P'
import sys
import warnings

import awkward
import numpy

warnings.simplefilter("error")
start = 1767225600.0  # 2026-01-01 as seconds since 1970
is_as_seen = True
for count, step in ((60, 1.0), (100, 0.001)):
    times = start + step * numpy.arange(count)
    values = 2.0 * (times - start)
    fit = awkward.linear_fit(awkward.Array(times), awkward.Array(values))
    centred = awkward.linear_fit(awkward.Array(times - times.mean()), awkward.Array(values))
    by_numpy = numpy.polyfit(times, values, 1)[0]
    print(f"{count} samples, {step} s apart: slope {fit.slope:.6f}, centred {centred.slope:.6f}, numpy.polyfit {by_numpy:.6f}")
    assert abs(centred.slope - 2) < 1e-6 and abs(by_numpy - 2) < 1e-4
    is_as_seen &= abs(fit.slope - 2) > 1
if not is_as_seen:
    print("CHANGED")
sys.exit(not is_as_seen)
P
"$dir/env/bin/python" "$dir/slopes.py"
