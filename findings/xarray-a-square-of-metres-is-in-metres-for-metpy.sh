#!/usr/bin/env bash
# Packages: xarray 2026.9.0, metpy 1.7.1, pint 0.25.3 with numpy 2.4.6.
# Behaviour: since 2025.11 xarray keeps attributes in operations, among them the unit of a variable of netCDF,
#   attrs["units"], whatever becomes of it: h * h, h / h and h > 2 of metres are "m", a variance of degC is "degC".  MetPy
#   takes the attribute for the unit of the result: it converts the square to kilometres, and a deviation or an anomaly,
#   t - t.mean(), to kelvin with 273.15 added.  Nothing warns.  The docstring of xarray.set_options says still that by
#   default attributes are kept "in unambiguous circumstances".  metpy.quantify() first makes all of it right, or an error;
#   xarray.set_options(keep_attrs=False) gives results without a unit.
# Seen 2026-12-01: 2 m * 2 m -> 0.004 km; of 20, 25 and 24 degC an anomaly of -3 is 270.15 K, the deviation 275.31 K.
# Fails (exit 1) when the square is no length, or an anomaly has no 273.15 added.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/env"; "$dir/env/bin/pip" install -q --no-compile --disable-pip-version-check --only-binary=:all: xarray==2026.9.0 metpy==1.7.1 pint==0.25.3 numpy==2.4.6
cat > "$dir/units.py" <<'P'
import sys
import warnings

import metpy.xarray  # adds .metpy to arrays
import numpy
import pint
import xarray

warnings.simplefilter("error")

height = xarray.DataArray([2.0, 3.0], dims="place", attrs={"units": "m"})
days = xarray.DataArray([20.0, 25.0, 24.0], dims="day", attrs={"units": "degC"})


def square(values):
    return (values * values).metpy.convert_units("km")


def anomaly(values):
    return (values - values.mean()).metpy.convert_units("K")


def deviation(values):
    return values.std().metpy.convert_units("K")


def numbers(values):
    return values.metpy.dequantify().values.round(4).tolist()


print("m * m in km", numbers(square(height)))
for name, made in {"h / h": height / height, "h > 2": height > 2, "var": days.var()}.items():
    print(f"{name:11} {made.attrs}, for MetPy {made.metpy.units}")
print("anomaly in K", numbers(anomaly(days)), "deviation in K", numbers(deviation(days)))
as_quantities = days.metpy.quantify()
print("the same by quantify", numbers(anomaly(as_quantities)), numbers(deviation(as_quantities)))
assert numbers(anomaly(as_quantities)) == [-3, 2, 1]
try:
    square(height.metpy.quantify())
except pint.DimensionalityError as error:
    print("m * m by quantify:", error)
else:
    raise AssertionError("an area was converted to kilometres")
is_as_seen = (
    numbers(square(height)) == [0.004, 0.009]
    and numbers(anomaly(days)) == [270.15, 275.15, 274.15]
    and abs(numbers(deviation(days)) - numpy.std([20, 25, 24]) - 273.15) < 1e-4
)
if not is_as_seen:
    print("CHANGED")
sys.exit(not is_as_seen)
P
"$dir/env/bin/python" "$dir/units.py"
