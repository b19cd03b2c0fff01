#!/usr/bin/env bash
# Packages: scitools-iris 3.14.1, netCDF4 1.7.5.1.post1, xarray 2026.9.0 with numpy 2.4.6.
# Behaviour: iris.save(cube, file, packing="i2") works out scale and offset itself, "based on cube.data and possible
#   masking" as its docstring says.  With masked data the smallest value becomes -32767, which is what a masked cell
#   is written as, too, so the file does not tell them apart any more: Iris and netCDF4 read the cells with the
#   smallest value, all dry cells of a rain field, as missing, and xarray reads the missing ones as dry.  Every signed
#   type does that.  With "u2" and no mask the largest value is read as missing.  Without packing Iris loses nothing,
#   but it leaves _FillValue to netCDF's default, which xarray does not know: it reads missing cells as 9.97e36.
#   Nothing warns; the docstring of save mentions none of it.  fill_value=-32768 with "i2", and fill_value=1e20
#   without packing, make all of them right.
# Seen 2026-12-01: 0, 0, 1.5, 30 mm and a masked cell by "i2": Iris --, --, 1.5001, 30, --; xarray 0, 0, 1.5001, 30,
#   0.  By "u2" without the masked cell: 0, 0, 1.5001, --.  Without packing: Iris 0, 0, 1.5, 30, --; xarray 9.97e36
#   for the last.
# Fails (exit 1) when the dry cells are read as dry, the largest value of "u2" as a number, or the masked one by
#   xarray as missing.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/env"; "$dir/env/bin/pip" install -q --no-compile --disable-pip-version-check --only-binary=:all: scitools-iris==3.14.1 netCDF4==1.7.5.1.post1 xarray==2026.9.0 numpy==2.4.6
cat > "$dir/rain.py" <<'P'
import sys
import warnings

import iris
import numpy as np
import xarray as xr
from iris.cube import Cube

warnings.simplefilter("error")
iris.FUTURE.save_split_attrs = True  # the way of the next release, without which each save warns of it

land = np.array([0.0, 0.0, 1.5, 30.0, 9.0])
rain = Cube(np.ma.masked_array(land, mask=[0, 0, 0, 0, 1]), var_name="rain", units="mm")
full = Cube(land[:4], var_name="rain", units="mm")


def read(cube, name, **how):
    iris.save(cube, name, **how)
    with xr.open_dataset(name) as dataset:
        return iris.load_cube(name).data, dataset["rain"].values


ways = [
    (rain, {}),
    (rain, {"packing": "i2"}),
    (rain, {"packing": "i4"}),
    (full, {"packing": "u2"}),
    (rain, {"packing": "i2", "fill_value": -32768}),
    (rain, {"fill_value": 1e20}),
]
missing, numbers = [], []
for count, (cube, how) in enumerate(ways):
    by_iris, by_xarray = read(cube, f"rain{count}.nc", **how)
    missing.append(np.ma.getmaskarray(by_iris).tolist())
    numbers.append(by_xarray)
    print(f"{cube.data} mm, {how}: Iris {by_iris}, xarray {by_xarray}")
last = [False, False, False, False, True]
for count in (4, 5):
    assert missing[count] == np.isnan(numbers[count]).tolist() == last
    assert np.allclose(numbers[count][:4], land[:4], atol=1e-3)
is_as_seen = (
    missing[1] == missing[2] == [True, True, False, False, True]
    and numbers[1][0] == numbers[1][4] == numbers[2][0] == numbers[2][4] == 0
    and missing[3] == [False, False, False, True]
    and missing[0] == last
    and numbers[0][4] > 9e36
)
if not is_as_seen:
    print("CHANGED")
sys.exit(not is_as_seen)
P
cd "$dir" && "$dir/env/bin/python" rain.py
