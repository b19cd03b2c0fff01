#!/usr/bin/env bash
# Packages: unyt 3.2.0 with numpy 2.4.6.
# Behaviour: a share in percent, or a rate in ms/s or m/km, has no dimension and a factor in its unit. unyt heeds the
#   factor in sums, comparisons and to(""), and not in functions of plain numbers: numpy.exp, log, log1p, tanh, arctan
#   and the like, float and those of math take 50 percent for 50. 1500 m // 1 km divides the numbers and converts
#   then, so it is 1.5 and not 1, and divmod of the two is (1500 m, 0 m), though % alone is 500 m. Nothing raises or
#   warns, and sin and cos of degrees are converted. A quotient of two arrays, 1 m / (1 km), has no factor left and is
#   right; a unit that is named, or made by one unit after the other (500 * ms / s), keeps it. astropy's exp(50 %) is
#   1.65, its 1500 m // 1 km is 1.
# Seen 2026-12-02: exp(50 percent) 5.18e+21, log(50 percent) 3.91, tanh(500 ms/s) 1.0; // 1.5; divmod (1500 m, 0 m).
# Fails (exit 1) when exp is 1.65, or // and divmod are whole numbers.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/env"; "$dir/env/bin/pip" install -q --no-compile --disable-pip-version-check --only-binary=:all: unyt==3.2.0 numpy==2.4.6
cat > "$dir/shares.py" <<'P'
import math
import sys

import numpy
from unyt import km, m, ms, percent, s, unyt_array

share, delay = 50 * percent, 500 * ms / s
found = {
    "exp(50 percent)": (numpy.exp(share), numpy.exp(share.to("")), math.exp(0.5)),
    "log(50 percent)": (numpy.log(share), numpy.log(share.to("")), math.log(0.5)),
    "tanh(500 ms/s)": (numpy.tanh(delay), numpy.tanh(delay.to("")), math.tanh(0.5)),
    "float(50 percent)": (float(share), float(share.to("")), 0.5),
}
for name, (straight, converted, right) in found.items():
    print(f"{name}: {straight:.4g}, after to('') {converted:.4g}, right {right:.4g}")
print(f"50 percent + 1 = {(share + 1).to('')}, 50 percent < 1: {bool(share < 1)}")
distance, post = unyt_array([1500.0], "m"), unyt_array([1.0], "km")
whole, rest = divmod(distance, post)
print(f"1500 m // 1 km = {distance // post}, % = {distance % post}, divmod = {whole}, {rest}")

is_as_seen = all(abs(converted - right) < 1e-12 for _, converted, right in found.values())
is_as_seen = is_as_seen and found["exp(50 percent)"][0] > 5e21 and found["log(50 percent)"][0] > 3.9
is_as_seen = is_as_seen and (share + 1).to("") == 1.5 and bool(share < 1)
is_as_seen = is_as_seen and (distance // post).tolist() == [1.5] and (distance % post).tolist() == [500]
is_as_seen = is_as_seen and whole.tolist() == [1500] and rest.tolist() == [0]
if not is_as_seen:
    print("CHANGED")
sys.exit(not is_as_seen)
P
cd "$dir" && "$dir/env/bin/python" shares.py
