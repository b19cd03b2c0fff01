#!/usr/bin/env bash
# Packages: xdem 0.2.3 with geoutils 0.2.5, rasterio 1.4.4, pyproj 3.7.2, numpy 2.4.6.
# Behaviour: the vertical reference of a DEM (set_vcrs: the ellipsoid, or a geoid, which lie tens of metres apart) is lost
#   by dem + 1, dem - array, crop, icrop, reproject, and a GeoTIFF written by to_file: vcrs is None afterwards. copy,
#   pickle, -dem and translate keep it. The difference of two DEMs with different references is taken in silence, and has
#   none either, so that the distance of the references counts as a change of height. Only a conversion raises, and names
#   a method and an argument that there are not: set_vref() and src_vcrs.
# Seen 2026-12-03: heights of 1050 m above the ellipsoid minus 1000 m above EGM96 are 50 m, without a warning; vcrs is
#   "EGM96 height" for 5 ways to hand a DEM on, and None for 6.
# Fails (exit 1) when one of the six ways keeps the reference, one of the five loses it, or the difference warns or raises.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/env"; "$dir/env/bin/pip" install -q --no-compile --disable-pip-version-check --only-binary=:all: xdem==0.2.3 geoutils==0.2.5 rasterio==1.4.4 pyproj==3.7.2 numpy==2.4.6
cat > "$dir/heights.py" <<'P'
import copy
import os
import pickle
import sys
import tempfile
import warnings

import numpy
import xdem
from affine import Affine

warnings.simplefilter("error", UserWarning)
PLACE = Affine(10, 0, 500000, 0, -10, 5200000)


def dem(height, reference):
    heights = numpy.full((8, 8), height, dtype="float32")
    made = xdem.DEM.from_array(heights, transform=PLACE, crs=32632, nodata=-9999)
    made.set_vcrs(reference)
    return made


def through_file(heights):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "heights.tif")
        heights.to_file(path)
        return xdem.DEM(path)


ground = dem(1000, "EGM96")
ways = {
    "copy": lambda: ground.copy(),
    "deepcopy": lambda: copy.deepcopy(ground),
    "pickle": lambda: pickle.loads(pickle.dumps(ground)),
    "-dem": lambda: -ground,
    "translate": lambda: ground.translate(10, 10),
    "dem + 1": lambda: ground + 1,
    "dem - array": lambda: ground - ground.data,
    "crop": lambda: ground.crop((500000, 5199960, 500040, 5200000)),
    "icrop": lambda: ground.icrop((0, 0, 4, 4)),
    "reproject": lambda: ground.reproject(res=20),
    "GeoTIFF": lambda: through_file(ground),
}
found = {}
for name, way in ways.items():
    reference = way().vcrs
    found[name] = reference and reference.name
    print(f"{name:12} {found[name]}")

change = dem(1050, "Ellipsoid") - ground
print("above the ellipsoid minus above the geoid:", change.data.mean(), "m, reference", change.vcrs)
message = ""
try:
    (ground + 1).to_vcrs("Ellipsoid")
except ValueError as error:
    message = str(error)
    print("a conversion of dem + 1:", message)
is_as_seen = (
    [*found.values()] == 5 * ["EGM96 height"] + 6 * [None]
    and change.data.mean() == 50
    and change.vcrs is None
    and ".set_vref()" in message
    and not hasattr(ground, "set_vref")
)
if not is_as_seen:
    print("CHANGED")
sys.exit(not is_as_seen)
P
"$dir/env/bin/python" "$dir/heights.py"
