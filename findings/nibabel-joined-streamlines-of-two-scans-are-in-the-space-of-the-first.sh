#!/usr/bin/env bash
# Packages: nibabel 5.4.2 with numpy 2.4.6.
# Behaviour: a Tractogram has streamlines, paths of nerve fibres, and affine_to_rasmm, which brings their coordinates to
#   millimetres: 2 mm per voxel in one scan, 1 mm in another. a + b, a += b and a.extend(b) put the coordinates together
#   as they are, under the affine of a, so that the fibres of b are half as long, or elsewhere, in millimetres. A
#   missing name among the data of a streamline is an error, another affine is not: nothing raises or warns. The
#   docstring of extend says that the dictionaries "must match", and nothing of the affine. to_world() first is right.
# Seen 2026-12-02: voxel 10 of 1 mm + voxel 10 of 2 mm: both at 10 mm, by +, += and extend; in the other order at 20.
# Fails (exit 1) when they are at 10 and 20 mm.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/env"; "$dir/env/bin/pip" install -q --no-compile --disable-pip-version-check --only-binary=:all: nibabel==5.4.2 numpy==2.4.6
cat > "$dir/fibres.py" <<'P'
import sys
import warnings

import numpy as np
from nibabel.streamlines import Tractogram

warnings.simplefilter("error")


def scan(size):
    return Tractogram([np.array([[0.0, 0, 0], [10, 0, 0]])], affine_to_rasmm=np.diag([size, size, size, 1.0]))


def ends(tractogram):
    return [float(line[-1, 0]) for line in tractogram.to_world().streamlines]


def by_plus_equal(a, b):
    a += b
    return a


def by_extend(a, b):
    a.extend(b)
    return a


ways = {"+": lambda a, b: a + b, "+=": by_plus_equal, "extend": by_extend}
found = []
for name, way in ways.items():
    found.append((ends(way(scan(1), scan(2))), ends(way(scan(2), scan(1)))))
    print(f"{name:6} 1 mm first: {found[-1][0]} mm, 2 mm first: {found[-1][1]} mm")
world = ends(scan(1).to_world() + scan(2).to_world())
print("to_world first:", world)
assert world == [10, 20]
is_as_seen = all(pair == ([10, 10], [20, 20]) for pair in found)
if not is_as_seen:
    print("CHANGED")
sys.exit(not is_as_seen)
P
"$dir/env/bin/python" "$dir/fibres.py"
