#!/usr/bin/env bash
# Packages: pysheds 0.5, numba 0.68.1, numpy 2.4.6.
# Behaviour: a Raster is an array of NumPy with a place, a projection and a value for what is missing, in its
#   viewfinder. pickle gives a Raster of the same type and numbers without it. Arithmetic goes on, gaps of -9999 being
#   among the numbers, and is not marked; nodata, affine, crs and each method of Grid are an AttributeError of
#   '_viewfinder', which does not name pickle. copy.copy, copy.deepcopy and slices keep it. Nothing raises or
#   warns when the raster is pickled or loaded. Raster(numpy.asarray(loaded), viewfinder) makes it whole again, since a
#   ViewFinder can be pickled.
# Seen 2026-12-02: nodata -9999 by copy and deepcopy; after pickle type Raster, equal numbers, no '_viewfinder'.
# Fails (exit 1) when the loaded raster has its nodata.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/env"; "$dir/env/bin/pip" install -q --no-compile --disable-pip-version-check --only-binary=:all: pysheds==0.5 numba==0.68.1 numpy==2.4.6
cat > "$dir/heights.py" <<'P'
import copy
import pickle
import sys

import numpy as np
import pyproj
from affine import Affine
from pysheds.view import Raster, ViewFinder

place = ViewFinder(
    affine=Affine(30, 0, 500000, 0, -30, 4e6),
    shape=(2, 2),
    nodata=np.float64(-9999),
    crs=pyproj.Proj("EPSG:32633"),
)
heights = Raster(np.array([[100.0, -9999], [102, 103]]), place)


def nodata(raster):
    try:
        return float(raster.nodata)
    except AttributeError as error:
        return f"AttributeError: {error}"


def pickled(value):
    return pickle.loads(pickle.dumps(value, 5))


found = {}
for name, way in {"copy": copy.copy, "deepcopy": copy.deepcopy, "pickle": pickled}.items():
    copied = way(heights)
    assert type(copied) is Raster and np.array_equal(copied, heights)
    found[name] = nodata(copied)
    print(f"{name:9} {found[name]}")
whole = Raster(np.asarray(pickled(heights)), pickled(heights.viewfinder))
print("with the pickled viewfinder:", nodata(whole), whole.affine == heights.affine)
assert found["copy"] == found["deepcopy"] == nodata(whole) == -9999 and whole.affine == heights.affine
is_as_seen = "_viewfinder" in str(found["pickle"])
if not is_as_seen:
    print("CHANGED")
sys.exit(not is_as_seen)
P
"$dir/env/bin/python" -W ignore "$dir/heights.py"
