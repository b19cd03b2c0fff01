#!/usr/bin/env bash
# Packages: fipy 4.0.3 with numpy 2.4.6 and scipy 1.17.1.
# Behaviour: in FiPy a boundary with a fixed value is a part of the variable: v.constrain(1, mesh.facesLeft). pickle,
#   fipy.dump, copy.copy, copy.deepcopy and the variable's own copy() keep its values, name, unit and old values, and
#   drop all constraints. No flux is the condition then, which is a valid problem with another solution: a rod
#   whose ends are held at 1 and 3 stays at 0 for ever. Nothing raises or warns; the docstrings do not mention it.
#   What is computed from a variable, 2 * v, is a variable of its own after pickle, and no longer follows v.
# Seen 2026-12-02: the rod has 1.1 to 2.9; by pickle, dump, copy, deepcopy and copy() 0 everywhere.
# Fails (exit 1) when a copy has the temperatures of the rod.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/env"; "$dir/env/bin/pip" install -q --no-compile --disable-pip-version-check --only-binary=:all: fipy==4.0.3 numpy==2.4.6 scipy==1.17.1
cat > "$dir/rod.py" <<'P'
import copy
import pickle
import sys

import numpy as np
from fipy import CellVariable, DiffusionTerm, Grid1D, TransientTerm, dump

mesh = Grid1D(nx=10, dx=0.1)


def rod():
    temperature = CellVariable(mesh=mesh, value=0.0)
    temperature.constrain(1.0, mesh.facesLeft)
    temperature.constrain(3.0, mesh.facesRight)
    return temperature


def dumped(variable):
    dump.write(variable, "rod.gz")
    return dump.read("rod.gz")


ways = {
    "pickle": lambda v: pickle.loads(pickle.dumps(v, 5)),
    "dump": dumped,
    "copy.copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "copy()": lambda v: v.copy(),
}


def steady(variable):
    (TransientTerm() == DiffusionTerm(1.0)).solve(variable, dt=1e6)
    return variable.value


right = steady(rod())
print("the rod", right[[0, -1]])
assert np.allclose(right, 1 + 2 * mesh.cellCenters.value[0], atol=1e-4)
is_as_seen = True
for name, way in ways.items():
    values = steady(way(rod()))
    print(f"{name:9}", values[[0, -1]])
    is_as_seen = is_as_seen and np.allclose(values, 0, atol=1e-9)
if not is_as_seen:
    print("CHANGED")
sys.exit(not is_as_seen)
P
cd "$dir" && "$dir/env/bin/python" rod.py
