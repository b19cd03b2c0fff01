#!/usr/bin/env bash
# Packages: gammapy 2.1, regions 0.11, astropy 8.0.2 with numpy 2.4.6.
# Behaviour: a Map has a unit. set_by_coord, set_by_idx and set_by_pix take a Quantity, and write its numbers without its
#   unit: 5 km are 5 in a map of metres, and 5 s are as well. fill_by_coord and fill_by_idx, + and stack convert, and
#   raise for seconds. Map.from_geom(geom, data=quantity, unit="m") is in the unit of the quantity, whatever unit says.
#   Nothing raises or warns; the docstrings of both have "vals" and "weights" as numpy.ndarray.
# Seen 2026-12-02: 5 km by the three setters: 5 m; by fill_by_idx and +: 5000 m; seconds: 5 m by the setters.
# Fails (exit 1) when a setter makes 5000 m of 5 km, or raises.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/env"; "$dir/env/bin/pip" install -q --no-compile --disable-pip-version-check --only-binary=:all: gammapy==2.1 regions==0.11 astropy==8.0.2 numpy==2.4.6
cat > "$dir/maps.py" <<'P'
import sys

import numpy as np
from astropy import units as u
from gammapy.maps import Map

empty = Map.create(npix=2, unit="m")
center = {"lon": empty.geom.get_coord().lon[0, :1], "lat": empty.geom.get_coord().lat[0, :1]}
first = (np.array([0]), np.array([0]))
ways = {
    "set_by_coord": lambda m, q: m.set_by_coord(center, q),
    "set_by_idx": lambda m, q: m.set_by_idx(first, q),
    "set_by_pix": lambda m, q: m.set_by_pix(first, q),
    "fill_by_coord": lambda m, q: m.fill_by_coord(center, q),
    "fill_by_idx": lambda m, q: m.fill_by_idx(first, q),
}


def result(way, quantity):
    filled = empty.copy()
    try:
        way(filled, quantity)
    except u.UnitConversionError as error:
        return type(error).__name__
    return str(filled.quantity[0, 0])


found = {name: [result(way, 5 * np.ones(1) * unit) for unit in (u.km, u.s)] for name, way in ways.items()}
for name, values in found.items():
    print(f"{name:13} of 5 km: {values[0]}, of 5 s: {values[1]}")
made = Map.from_geom(empty.geom, data=np.ones((2, 2)) * u.km, unit="m")
print("from_geom of 1 km with unit='m':", made.quantity[0, 0])
assert all(found[name] == ["5000.0 m", "UnitConversionError"] for name in ("fill_by_coord", "fill_by_idx"))
is_as_seen = all(values == ["5.0 m", "5.0 m"] for name, values in found.items() if name.startswith("set"))
if not is_as_seen:
    print("CHANGED")
sys.exit(not is_as_seen)
P
"$dir/env/bin/python" -W ignore "$dir/maps.py"
