#!/usr/bin/env bash
# Packages: trimesh 5.2.0 with numpy 2.4.6.
# Behaviour: a mesh has units, in which its vertices are, and convert_units. a + b and trimesh.util.concatenate put the
#   vertices together as they are and give the result the units of the last mesh: a cube of 1 mm and one of 1 m are two
#   cubes of 1 m, and in the other order two of 1 mm. Scene.to_geometry does the same, while Scene.units of the two is
#   None. Nothing raises or warns; the docstrings do not mention units. A mesh in small units loses its size in a file:
#   OBJ has eight decimals, so that a cube of 30 nm in metres is one of 20 nm, and one of 1 nm is a point. OFF, STL and
#   PLY keep it.
# Seen 2026-12-02: a cube of 1 mm + a cube of 1 m: units m, volume 2.0; 30 nm by OBJ: 2e-08, 1 nm: 0.
# Fails (exit 1) when the volume is 1.000000001 m3, or OBJ keeps the cubes.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/env"; "$dir/env/bin/pip" install -q --no-compile --disable-pip-version-check --only-binary=:all: trimesh==5.2.0 numpy==2.4.6
cat > "$dir/cubes.py" <<'P'
import sys
import warnings

import numpy as np
import trimesh

warnings.simplefilter("error")


def cube(size, units):
    mesh = trimesh.creation.box(extents=[size] * 3)
    mesh.units = units
    return mesh


small, large = cube(1.0, "mm"), cube(1.0, "m")
results = {
    "1 mm + 1 m": small + large,
    "1 m + 1 mm": large + small,
    "concatenate": trimesh.util.concatenate([small, large]),
    "to_geometry": trimesh.Scene([small, large]).to_geometry(),
}
for name, mesh in results.items():
    print(f"{name}: units {mesh.units}, volume {mesh.volume:.9f}")
right = cube(1.0, "mm").convert_units("m") + large
print(f"converted first: units {right.units}, volume {right.volume:.9f}")
assert right.units == "m" and np.isclose(right.volume, 1 + 1e-9, rtol=0, atol=1e-12)


def written(mesh, kind):
    return trimesh.load(trimesh.util.wrap_as_stream(mesh.export(file_type=kind)), file_type=kind, process=False)


sizes = {kind: [float(written(cube(s, "m"), kind).extents[0]) for s in (3e-8, 1e-9)] for kind in ["obj", "off", "stl"]}
print("cubes of 3e-08 and 1e-09 m:", sizes)
assert np.allclose([sizes["off"], sizes["stl"]], [3e-8, 1e-9], rtol=1e-6, atol=0)
is_as_seen = [mesh.units for mesh in results.values()] == ["m", "mm", "m", "m"]
is_as_seen = is_as_seen and all(np.isclose(mesh.volume, 2, rtol=0, atol=1e-12) for mesh in results.values())
is_as_seen = is_as_seen and np.allclose(sizes["obj"], [2e-8, 0], rtol=0, atol=1e-20)
if not is_as_seen:
    print("CHANGED")
sys.exit(not is_as_seen)
P
"$dir/env/bin/python" "$dir/cubes.py"
