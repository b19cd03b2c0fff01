#!/usr/bin/env bash
# Packages: freud-analysis 3.4.0 with numpy 2.4.6.
# Behaviour: a Box of freud whose periodic was set, to (True, True, False) for a slab say, is periodic in all directions
#   again after box * 2, 2 * box, Box.from_box(box), Box.from_box(box.to_dict()) and Box.from_matrix(box.to_matrix()):
#   two atoms at the faces of a slab that are 18 apart are 2 apart, and wrap moves an atom above it to below.
#   copy.copy keeps periodic. Nothing raises or warns. The docstring of from_box takes "existing freud.box.Box
#   objects" and says nothing of periodic; * has none. freud refuses searches for neighbours in a box that is not
#   periodic, and does them in what has become periodic.
# Seen 2026-12-03: box * 2: periodic True, True, True, distance 2.0 in place of 18.0; from_box: 1.0 in place of 9.0; one
#   pair of neighbours in from_box(box), where none is nearer than 9.
# Fails (exit 1) when periodic is kept, or the distance is 18.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/env"; "$dir/env/bin/pip" install -q --no-compile --disable-pip-version-check --only-binary=:all: freud-analysis==3.4.0 numpy==2.4.6
cat > "$dir/slab.py" <<'P'
import copy
import sys
import warnings

import freud
import numpy as np

warnings.simplefilter("error")
SLAB = (True, True, False)
Box = freud.box.Box
box = Box(10, 10, 10)
box.periodic = SLAB
low, high = np.array([[0, 0, -4.5]]), np.array([[0, 0, 4.5]])


def seen(a_box, scale):
    periodic = tuple(bool(p) for p in a_box.periodic)
    distance = float(a_box.compute_distances(scale * low, scale * high)[0])
    above = float(a_box.wrap(scale * np.array([[0, 0, 5.4]]))[0, 2])
    return periodic, round(distance, 3), round(above, 3)


ways = {
    "box": (box, 1),
    "copy.copy": (copy.copy(box), 1),
    "from_box": (Box.from_box(box), 1),
    "to_dict": (Box.from_box(box.to_dict()), 1),
    "to_matrix": (Box.from_matrix(box.to_matrix()), 1),
    "box * 2": (box * 2, 2),
    "2 * box": (2 * box, 2),
}
found = {name: seen(*way) for name, way in ways.items()}
twice = Box(20, 20, 20)
twice.periodic = SLAB
found["Box(20, 20, 20) with its periodic"] = seen(twice, 2)
for name, (periodic, distance, above) in found.items():
    print(f"{name}: periodic {periodic}, distance of the atoms at the faces {distance}, atom above at {above}")
# Without freud: along the direction that is not periodic a distance is a difference.
assert found["box"] == (SLAB, float((high - low)[0, 2]), 5.4)
assert found["Box(20, 20, 20) with its periodic"] == (SLAB, 18.0, 10.8)

atoms = np.vstack([low, high]).astype("float32")


def pairs(a_box):
    query = freud.locality.AABBQuery(a_box, atoms)
    try:
        return len(query.query(atoms[:1], {"r_max": 2, "exclude_ii": True}).toNeighborList())
    except ValueError as error:
        return str(error)


near = {name: pairs(ways[name][0]) for name in ("box", "from_box")}
print("neighbours within 2:", near)

all_periodic = (True, True, True)
is_as_seen = (
    found["copy.copy"] == found["box"]
    and all(found[name] == (all_periodic, 1.0, -4.6) for name in ("from_box", "to_dict", "to_matrix"))
    and all(found[name] == (all_periodic, 2.0, -9.2) for name in ("box * 2", "2 * box"))
    and near["from_box"] == 1
    and "not implemented" in str(near["box"])
)
if not is_as_seen:
    print("CHANGED")
sys.exit(not is_as_seen)
P
"$dir/env/bin/python" "$dir/slab.py"
