#!/usr/bin/env bash
# Packages: rasterio 1.4.4 with numpy 2.4.6.
# Behaviour: the bands of a GeoTIFF can be whole numbers with a scale and an offset, as satellite scenes have them.
#   rasterio.merge puts the whole numbers of the tiles together, whatever their scales, and the mosaic that it writes
#   with dst_path has scale 1 and offset 0: 200 by 0.1 is 20, 100 by 0.5 and 1 is 51, and in the mosaic they are 200 and
#   100, of which method="max" takes the 200, which is the smaller one. method="sum" computes in the type of the first
#   tile: 200 + 100 of uint8 is 44, unless dtype is given. method="count" counts 300 tiles as 44 for the same reason.
#   Nothing raises or warns. The docstring says of dtype that it is by default that of the first source, and nothing of
#   scales, offsets and sums that do not fit.
# Seen 2026-12-02: 200 by 0.1 beside 100 by 0.5 and 1: 200 and 100, scale 1; where both are, max 200 and sum 44.
# Fails (exit 1) when the mosaic has 20 and 51, or the sum is 300, or one of them is refused.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/env"; "$dir/env/bin/pip" install -q --no-compile --disable-pip-version-check --only-binary=:all: rasterio==1.4.4 numpy==2.4.6
cat > "$dir/tiles.py" <<'P'
import sys
import warnings

import numpy as np
import rasterio
from rasterio.merge import merge
from rasterio.transform import from_origin

for category in (UserWarning, RuntimeWarning):
    warnings.simplefilter("error", category)


def tile(name, value, scale, west, offset=0.0):
    profile = {"driver": "GTiff", "width": 2, "height": 1, "count": 1, "dtype": "uint8", "crs": "EPSG:32630"}
    with rasterio.open(name, "w", transform=from_origin(west, 1, 1, 1), **profile) as file:
        file.write(np.full((1, 1, 2), value, dtype="u1"))
        file.scales, file.offsets = (scale,), (offset,)
    return name


def physical(name):
    with rasterio.open(name) as file:
        return (file.read(1)[0] * file.scales[0] + file.offsets[0]).tolist()


one, two = tile("one.tif", 200, 0.1, west=0), tile("two.tif", 100, 0.5, west=1, offset=1.0)
print("tiles:", physical(one), physical(two))
assert np.allclose(physical(one), 20) and np.allclose(physical(two), 51)

mosaics = {}
for method in ["first", "max", "sum"]:
    merge([one, two], method=method, dst_path=f"{method}.tif")
    mosaics[method] = physical(f"{method}.tif")
    print(f"mosaic, method {method!r}: {mosaics[method]}")
wide = merge([one, two], method="sum", dtype="uint16")[0].ravel().tolist()
print("sum, dtype uint16:", wide)
assert wide == [200, 300, 100]
is_as_seen = mosaics == {"first": [200, 200, 100], "max": [200, 200, 100], "sum": [200, 44, 100]}
many = merge([one] * 300, method="count")[0].ravel().tolist()
print("count of 300 tiles:", many)
is_as_seen = is_as_seen and many == [44, 44]
if not is_as_seen:
    print("CHANGED")
sys.exit(not is_as_seen)
P
cd "$dir" && "$dir/env/bin/python" tiles.py
