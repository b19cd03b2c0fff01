#!/usr/bin/env bash
# Packages: landlab 2.11.0, requireit 0.2.0 with numpy 2.4.6.
# Behaviour: a grid has layers of sediment below each cell, grid.event_layers and grid.material_layers, with a thickness
#   and an age. pickle, copy.copy, copy.deepcopy and native_landlab's save_grid keep the fields, units, boundaries and
#   axes of a RasterModelGrid, and none of its layers: the deposits are 0 m thick, and models go on from there. A
#   HexModelGrid keeps them by pickle. Nothing raises or warns; __getstate__ says "Get state for pickling".
# Seen 2026-12-02: a deposit of 2 m on each of 4 cells, 8 m in all: 0 by pickle, copy, deepcopy and save_grid; hex: kept.
# Fails (exit 1) when a copy of the raster has the deposit.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/env"; "$dir/env/bin/pip" install -q --no-compile --disable-pip-version-check --only-binary=:all: landlab==2.11.0 requireit==0.2.0 numpy==2.4.6
cat > "$dir/layers.py" <<'P'
import copy
import pickle
import sys

import numpy as np
from landlab import HexModelGrid, RasterModelGrid
from landlab.io.native_landlab import load_grid, save_grid


def deposit(grid):
    grid.add_field("depth", np.arange(grid.number_of_nodes), at="node", units="m")
    grid.event_layers.add(2.0, age=1.0)
    grid.material_layers.add(2.0, age=1.0)
    return grid


def pickled(grid):
    return pickle.loads(pickle.dumps(grid, 5))


def saved(grid):
    save_grid(grid, "landscape.grid", clobber=True)
    return load_grid("landscape.grid")


def thickness(grid):
    assert np.array_equal(grid.at_node["depth"], np.arange(grid.number_of_nodes))
    assert grid.field_units("depth", at="node") == "m"
    return [float(layers.thickness.sum()) for layers in (grid.event_layers, grid.material_layers)]


raster = deposit(RasterModelGrid((4, 4)))
print("as made  ", thickness(raster))
assert thickness(raster) == [8, 8]
found = {}
for name, way in {"pickle": pickled, "copy": copy.copy, "deepcopy": copy.deepcopy, "save_grid": saved}.items():
    found[name] = thickness(way(raster))
    print(f"{name:9}", found[name])
hexagons = deposit(HexModelGrid((4, 4)))
print("hexagons by pickle:", thickness(pickled(hexagons)), "as made:", thickness(hexagons))
assert thickness(pickled(hexagons)) == thickness(hexagons) != [0, 0]
is_as_seen = all(values == [0, 0] for values in found.values())
if not is_as_seen:
    print("CHANGED")
sys.exit(not is_as_seen)
P
cd "$dir" && "$dir/env/bin/python" layers.py
