#!/usr/bin/env bash
# Packages: pymatgen-core 2026.10.16 with numpy 2.4.6.
# Behaviour: a Trajectory with a constant lattice, of a run at constant volume, keeps fractional coordinates and one
#   lattice. extend() of two such trajectories takes the lattice of the first and the fractional coordinates of both,
#   so that each frame of the second is in the cell of the first: its distances and densities are those of another
#   volume, in XDATCAR too. If one of the two has a lattice for each frame, all frames keep their own. Other time
#   steps and other species are refused; the docstring says "The lattice, coords, and all other properties are
#   combined". A slice with a step, t[::2], has every second frame and the time step of all. Pickle, copy, deepcopy
#   and as_dict keep everything. Nothing raises or warns.
# Seen 2026-12-03: NaCl with a = 5.64 Å, and with 6.00 Å: Na to Cl 2.82 and 3.00 Å, extended 2.82 and 2.82 Å;
#   time_step of t[::2] is 2.0 fs for frames that are 4.0 fs apart.
# Fails (exit 1) when the frames of the second keep their cell, or extend() refuses them, or the slice has 4.0 fs.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/env"; "$dir/env/bin/pip" install -q --no-compile --disable-pip-version-check --only-binary=:all: pymatgen-core==2026.10.16 numpy==2.4.6
cat > "$dir/runs.py" <<'P'
import copy
import pickle
import sys
import warnings

from pymatgen.core import Lattice, Structure
from pymatgen.core.trajectory import Trajectory

warnings.simplefilter("error", UserWarning)


def run(edge, constant=True):
    cells = [Structure.from_spacegroup("Fm-3m", Lattice.cubic(edge), ["Na", "Cl"], [[0, 0, 0], [0.5] * 3])] * 2
    return Trajectory.from_structures(cells, constant_lattice=constant, time_step=2.0)


def seen(trajectory):
    found = []
    for frame in (trajectory[i] for i in range(len(trajectory))):
        to_chlorine = min(float(frame.get_distance(0, other)) for other in range(4, 8))
        found.append((round(frame.lattice.a, 2), round(to_chlorine, 2), round(float(frame.density), 2)))
    return found


def joined(first, second):
    first.extend(second)
    return first


def through_file(trajectory):
    trajectory.write_Xdatcar("XDATCAR")
    return Trajectory.from_file("XDATCAR")


small, large = [(5.64, 2.82, 2.16)] * 2, [(6.0, 3.0, 1.8)] * 2
assert seen(run(5.64)) == small and seen(run(6.0)) == large
results = {
    "both constant": joined(run(5.64), run(6.0)),
    "the other way round": joined(run(6.0), run(5.64)),
    "in a file": through_file(joined(run(5.64), run(6.0))),
    "a lattice for each frame": joined(run(5.64), run(6.0, constant=False)),
}
found = {name: seen(trajectory) for name, trajectory in results.items()}
for name, frames in found.items():
    print(f"{name}: edge, Na to Cl (angstrom), density (g/cm3):", *frames)
right = results["a lattice for each frame"]
copies = [copy.copy(right), copy.deepcopy(right), pickle.loads(pickle.dumps(right)), Trajectory.from_dict(right.as_dict())]
assert all(seen(made) == small + large and made.time_step == 2.0 for made in copies)

step = right[::2].time_step
print("time step of t[::2]:", step, "fs, of frames that are 4.0 fs apart")
is_as_seen = (
    found["both constant"] == small + small
    and found["the other way round"] == large + large
    and found["in a file"] == small + small
    and found["a lattice for each frame"] == small + large
    and step == 2.0
)
if not is_as_seen:
    print("CHANGED")
sys.exit(not is_as_seen)
P
cd "$dir" && "$dir/env/bin/python" runs.py
