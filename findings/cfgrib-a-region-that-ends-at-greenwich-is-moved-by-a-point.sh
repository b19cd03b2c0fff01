#!/usr/bin/env bash
# Packages: cfgrib 0.9.15.1, eccodes 2.50.1 (with its library eccodeslib 2.50.0.33), xarray 2026.9.0,
#   pandas 2.3.3, numpy 2.4.6.
# Behaviour: a region from 356 degrees east to Greenwich, which is 0, has the longitudes 356, 357, 358, 359, 0 in
#   ecCodes. cfgrib takes the key distinctLongitudes, which ecCodes sorts, and leaves the values in their order: the
#   value of 356 is at 0, that of 357 at 356, and each other one point too far west. A world from 1 to 360 degrees,
#   where 360 is written as 0, is moved as a whole, and so is a region that ends at 178 degrees west in GRIB 1. In GRIB
#   2 it happens to -4 to 0, too, since that is written as 356 to 0. Nothing raises or warns. Regions that cross
#   Greenwich, 358 to 2, and those that end at 360 are right, and so are latitudes, longitudes and values of ecCodes.
#   The documentation does not mention it; it is known as issues 367 and 402 of cfgrib.
# Seen 2026-12-03: values of 356 to 0 degrees east: at 0 that of 356, at 356 that of 357; the world: all 360 elsewhere.
# Fails (exit 1) when each value is at its place, or such a region is refused.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/env"; "$dir/env/bin/pip" install -q --no-compile --disable-pip-version-check --only-binary=:all: cfgrib==0.9.15.1 eccodes==2.50.1 eccodeslib==2.50.0.33 xarray==2026.9.0 pandas==2.3.3 numpy==2.4.6
cat > "$dir/region.py" <<'P'
import sys
import warnings

import eccodes
import numpy as np
import xarray

warnings.simplefilter("error")


def places(edition, first, last, columns):
    """What lies where by ecCodes and by cfgrib; each value is its longitude."""
    message = eccodes.codes_grib_new_from_samples(f"regular_ll_pl_grib{edition}")
    grid = {"Ni": columns, "Nj": 2, "bitsPerValue": 24, "iDirectionIncrementInDegrees": 1.0}
    grid |= {"longitudeOfFirstGridPointInDegrees": first, "longitudeOfLastGridPointInDegrees": last}
    grid |= {"latitudeOfFirstGridPointInDegrees": 50.0, "latitudeOfLastGridPointInDegrees": 49.0}
    for key, value in {**grid, "jDirectionIncrementInDegrees": 1.0}.items():
        eccodes.codes_set(message, key, value)
    eccodes.codes_set_values(message, np.tile((first + np.arange(columns)) % 360, 2))
    path = f"{edition}-{first}-{last}.grib"
    with open(path, "wb") as file:
        eccodes.codes_write(message, file)
    longitudes = eccodes.codes_get_array(message, "longitudes") % 360
    assert np.allclose(eccodes.codes_get_values(message), longitudes, atol=1e-3)
    with xarray.open_dataset(path, engine="cfgrib", indexpath="") as data:
        row = data[list(data)[0]].isel(latitude=0)
        return row.longitude.values % 360, np.round(row.values, 3)


moved = {
    "356 to 0, GRIB 2": (2, 356.0, 0.0, 5),
    "356 to 0, GRIB 1": (1, 356.0, 0.0, 5),
    "-4 to 0, GRIB 2": (2, -4.0, 0.0, 5),
    "178 to -178, GRIB 1": (1, 178.0, -178.0, 5),
    "1 to 0, GRIB 2": (2, 1.0, 0.0, 360),
}
right = {
    "-4 to 0, GRIB 1": (1, -4.0, 0.0, 5),
    "356 to 360, GRIB 2": (2, 356.0, 360.0, 5),
    "358 to 2, GRIB 2": (2, 358.0, 2.0, 5),
    "0 to 359, GRIB 2": (2, 0.0, 359.0, 360),
}
wrong = {}
for name, grid in {**moved, **right}.items():
    longitudes, values = places(*grid)
    wrong[name] = int((longitudes != values).sum())
    where = ", ".join(f"{v:g} at {x:g}" for x, v in zip(longitudes[:5], values))
    print(f"{name:20} {wrong[name]} of {grid[3]} elsewhere: the values of {where}")
assert not any(wrong[name] for name in right)
is_as_seen = [wrong[name] for name in moved] == [5, 5, 5, 5, 360]
if not is_as_seen:
    print("CHANGED")
sys.exit(not is_as_seen)
P
cd "$dir" && "$dir/env/bin/python" region.py
