#!/usr/bin/env bash
# Packages: orix 0.15.0 with numpy 2.4.6 and scipy 1.17.1.
# Behaviour: an Orientation of a crystal has the symmetry of the crystal, by which two that differ by a quarter turn of
#   a cube are the same. Orientation.stack gives one without symmetry (1), and Misorientation.stack loses both of
#   its symmetries, so that angles between grains are too large. A Rotation has a flag for each of its elements that is
#   improper (with an inversion): .unit and .transpose() of it have none, and turn vectors the other way. Slices, pickle,
#   flatten, squeeze and reshape keep both. Nothing raises or warns; the docstrings do not mention either.
# Seen 2026-12-02: angle of 0 and 90 degrees about z of m-3m: 0, in a stack 90; misorientation m-3m, 6/mmm -> 1, 1;
#   improper [False, True] -> [False, False] by unit and transpose, so that (1, 2, 3) is not turned into (-1, -2, -3).
# Fails (exit 1) when the stack has the symmetry, or unit or transpose the flags.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/env"; "$dir/env/bin/pip" install -q --no-compile --disable-pip-version-check --only-binary=:all: orix==0.15.0 numpy==2.4.6 scipy==1.17.1
cat > "$dir/grains.py" <<'P'
import pickle
import sys

import numpy as np
from orix.quaternion import Misorientation, Orientation, Rotation
from orix.quaternion.symmetry import D6h, Oh
from orix.vector import Vector3d

grains = Orientation.from_axes_angles([0, 0, 1], [0, 90], degrees=True, symmetry=Oh)
stack = Orientation.stack([grains, grains])
angles = [float(o[0].angle_with(o[1], degrees=True)[0]) for o in (grains, stack[:, 0])]
print(f"symmetry {grains.symmetry.name}, of the stack {stack.symmetry.name}; angles {angles}")
for kept in (pickle.loads(pickle.dumps(grains, 5)), grains[:1], grains.flatten(), grains.reshape(2, 1)):
    assert kept.symmetry.name == "m-3m"

boundary = Misorientation.from_axes_angles([0, 0, 1], [10, 20], degrees=True)
boundary.symmetry = (Oh, D6h)
both = [s.name for s in Misorientation.stack([boundary, boundary]).symmetry]
print("misorientation:", [s.name for s in boundary.symmetry], "in a stack:", both)

rotation = Rotation.from_axes_angles([0, 0, 1], [0, 0], degrees=True)
rotation.improper = [False, True]
vector = Vector3d([1, 2, 3])
turned = {
    "as made": rotation,
    "flatten": rotation.reshape(2, 1).flatten(),
    "unit": rotation.unit,
    "transpose": rotation.reshape(2, 1).transpose().flatten(),
}
for name, r in turned.items():
    print(f"{name:9} improper {r.improper.tolist()}, vector {(r[1] * vector).data.ravel().tolist()}")
assert all(turned[name].improper.tolist() == [False, True] for name in ("as made", "flatten"))
is_as_seen = np.allclose(angles, [0, 90]) and both == ["1", "1"]
is_as_seen = is_as_seen and not turned["unit"].improper.any() and not turned["transpose"].improper.any()
if not is_as_seen:
    print("CHANGED")
sys.exit(not is_as_seen)
P
MPLBACKEND=agg "$dir/env/bin/python" "$dir/grains.py"
