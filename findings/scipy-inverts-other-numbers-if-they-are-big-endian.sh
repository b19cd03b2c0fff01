#!/usr/bin/env bash
# Packages: scipy 1.17.1 with numpy 2.4.6; on a little-endian machine.
# Behaviour: scipy.linalg.inv and sqrtm take the bytes of a big-endian matrix, as FITS and netCDF files give it, for those
#   of a little-endian one: the inverse of a matrix that has one is infinite, its root is near 0, and no error is
#   raised.  numpy.linalg.inv, and scipy.linalg.expm and det (by an error), are right or say so.
# Seen 2026-12-01: inv of [[4, 1], [1, 3]] as '>f8' has -inf and inf; the elements of sqrtm are about 1e-160.
# Fails (exit 1) when inv and sqrtm of a big-endian matrix are those of the little-endian one, or raise.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/env"; "$dir/env/bin/pip" install -q --disable-pip-version-check --only-binary=:all: scipy==1.17.1 numpy==2.4.6
cat > "$dir/inverses.py" <<'P'
import sys
import warnings

import numpy
import scipy.linalg

warnings.simplefilter("ignore")
matrix = numpy.array([[4.0, 1.0], [1.0, 3.0]])
from_file = matrix.astype(">f8")
assert (from_file == matrix).all()
assert numpy.allclose(numpy.linalg.inv(from_file), numpy.linalg.inv(matrix))
wrong = []
for function in (scipy.linalg.inv, scipy.linalg.sqrtm):
    right = function(matrix)
    try:
        made = function(from_file)
    except ValueError as error:
        print(f"{function.__name__:6} raises {error}")
        continue
    print(f"{function.__name__:6} {right.tolist()}\n  big-endian: {made.tolist()}")
    wrong.append(not numpy.allclose(made, right))
if wrong != [True, True]:
    print("CHANGED")
sys.exit(wrong != [True, True])
P
"$dir/env/bin/python" "$dir/inverses.py"
