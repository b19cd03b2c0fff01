#!/usr/bin/env bash
# Packages: galois 0.4.11, numba 0.68.1 with numpy 2.4.6.
# Behaviour: an array over a finite field is a subclass of NumPy's array, and its products, sums and numpy.dot are those of
#   the field.  numpy.einsum, numpy.tensordot and numpy.where are not overridden, and not refused as numpy.cross is: they
#   use the integers that stand for the elements, which have eight bits in small fields, so that a product of vectors over
#   GF(5) is 25 and not 0, one over GF(2**8) has overflowed.  numpy.concatenate and stack of arrays of two fields make one
#   array of the first field, without a look at the values: GF(3) with elements 3 and 4, which its constructor refuses.
#   Nothing raises or warns; a + b of two fields is a TypeError.
# Seen 2026-12-01: (3, 4) times (3, 4) over GF(5): dot 0, einsum and tensordot 25; of GF(3) and GF(5) [1, 2, 3, 4] in GF(3).
# Fails (exit 1) when einsum is that of the field or refused, or fields are not mixed.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/env"; "$dir/env/bin/pip" install -q --no-compile --disable-pip-version-check --only-binary=:all: galois==0.4.11 numba==0.68.1 numpy==2.4.6
cat > "$dir/fields.py" <<'P'
import sys
import warnings

import galois
import numpy

warnings.simplefilter("error")
three, five, bytes_ = galois.GF(3), galois.GF(5), galois.GF(2**8)
v, w = five([3, 4]), bytes_([200, 201])
found = {
    "GF(5) dot": int(numpy.dot(v, v)),
    "GF(5) einsum": int(numpy.einsum("i,i", v, v)),
    "GF(5) tensordot": int(numpy.tensordot(v, v, 1)),
    "GF(256) dot": int(numpy.dot(w, w)),
    "GF(256) einsum": int(numpy.einsum("i,i", w, w)),
}
for name, value in found.items():
    print(f"{name:16} {value}")
assert found["GF(5) dot"] == (3 * 3 + 4 * 4) % 5 and found["GF(256) dot"] == int(w[0] * w[0] + w[1] * w[1])
try:
    three([3, 4])
    raise AssertionError("GF(3) has no 3 and no 4")
except ValueError as error:
    print("GF(3)([3, 4]):", type(error).__name__)
mixed = numpy.concatenate([three([1, 2]), v])
print("concatenate of GF(3) and GF(5):", repr(mixed))
is_as_seen = (
    found["GF(5) einsum"] == found["GF(5) tensordot"] == 25
    and found["GF(256) einsum"] == (200 * 200 + 201 * 201) % 256
    and type(mixed) is three
    and mixed.view(numpy.ndarray).tolist() == [1, 2, 3, 4]
)
if not is_as_seen:
    print("CHANGED")
sys.exit(not is_as_seen)
P
"$dir/env/bin/python" "$dir/fields.py"
