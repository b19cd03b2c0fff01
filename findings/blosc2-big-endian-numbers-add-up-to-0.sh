#!/usr/bin/env bash
# Packages: blosc2 4.14.1 with numpy 2.4.6; on a little-endian machine.
# Behaviour: blosc2.asarray keeps big-endian numbers, as FITS and netCDF 3 have them, and gives them back right. What
#   it computes of them takes their bytes for those of native numbers: y + 1 of 0 to 4 is 1 each time, y > 2 is False
#   for all, the mean is 7e-320, and the sum of y * y is 0. Functions such as sqrt, and strings in lazyexpr, do the
#   same, and integers become others as well. where(y > 2, y, -1) and matmul are right, and so can be a single
#   element: (y + 1)[-1] is 5. Nothing raises or warns; the docstrings of asarray and lazyexpr do not mention the byte
#   order. With numbers.astype(float) all of it is right.
# Seen 2026-12-02: 0, 1, 2, 3, 4 as >f8: y + 1 [1, 1, 1, 1, 1], y > 2 five times False, sum 3.4e-319, of squares 0; as
#   >i4 the sum is 167772160; native 1 to 5, 10 and 30.
# Fails (exit 1) when one of the results is right, or refused.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/env"; "$dir/env/bin/pip" install -q --no-compile --disable-pip-version-check --only-binary=:all: blosc2==4.14.1 numpy==2.4.6
cat > "$dir/sums.py" <<'P'
import sys
import warnings

import blosc2
import numpy

warnings.simplefilter("error")
WAYS = {
    "y": lambda y: y[:],
    "y + 1": lambda y: (y + 1)[:],
    "last of y + 1": lambda y: (y + 1)[-1],
    "lazyexpr('y + 1')": lambda y: blosc2.lazyexpr("y + 1", {"y": y}).compute()[:],
    "y > 2": lambda y: (y > 2)[:],
    "where(y > 2, y, -1)": lambda y: blosc2.where(y > 2, y, -1)[:],
    "sqrt(y)": lambda y: blosc2.sqrt(y)[:],
    "y.sum()": lambda y: y.sum(),
    "y.mean()": lambda y: y.mean(),
    "(y * y).sum()": lambda y: (y * y).sum(),
}
RIGHT = ["y", "last of y + 1", "where(y > 2, y, -1)"]

is_as_seen = True
for kind in ("f8", "i4"):
    right = []
    for way, compute in WAYS.items():
        native, other = (
            numpy.asarray(compute(blosc2.asarray(numpy.arange(5, dtype=order + kind)))).tolist() for order in "<>"
        )
        print(f"{way} of 0 to 4 as {kind}: native {native}, big-endian {other}")
        if native == other:
            right.append(way)
    is_as_seen = is_as_seen and right == RIGHT
if not is_as_seen:
    print("CHANGED")
sys.exit(not is_as_seen)
P
cd "$dir" && "$dir/env/bin/python" sums.py
