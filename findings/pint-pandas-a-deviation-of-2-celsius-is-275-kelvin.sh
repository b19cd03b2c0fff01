#!/usr/bin/env bash
# Packages: pint-pandas 0.8.0, pint 0.25.3, pandas 3.1.1 with numpy 2.4.6.
# Behaviour: the spread of temperatures is a difference, delta_degC, which pint gives for numpy.std and for a - b, and
#   pint-pandas for .diff().  The .std() and .sem() of a Series of degC, also by groups and resample, are a
#   temperature, degC: converted to kelvin they have 273.15 added, to fahrenheit 32.  numpy.ptp of pint itself does the
#   same.  And the product of lengths in km is in km when it is made by groups (Series.prod is refused).  Nothing raises
#   or warns, and no docstring mentions it; for the deviations an issue of 2021 is open (hgrecco/pint-pandas, 94).
# Seen 2026-12-01: 20, 25, 22 degC: numpy.std 2.52 K, Series.std 275.67 K, numpy.ptp 278.15 K; 2 km * 3 km = 6000 m.
# Fails (exit 1) when deviations, range or products have the right units.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/env"; "$dir/env/bin/pip" install -q --no-compile --disable-pip-version-check --only-binary=:all: pint-pandas==0.8.0 pint==0.25.3 pandas==3.1.1 numpy==2.4.6
cat > "$dir/spread.py" <<'P'
import sys
import warnings

import numpy
import pandas
import pint_pandas  # registers the types "pint[...]" of columns

warnings.simplefilter("error")

days = pandas.Series([20.0, 25.0, 22.0], dtype="pint[degC]")
values = days.pint.quantity
groups = [1, 1, 1]
assert isinstance(days.dtype, pint_pandas.PintType)

right = numpy.std(values.magnitude, ddof=1)
spreads = {
    "numpy.std": numpy.std(values, ddof=1),
    "largest .diff()": days.diff().max(),
    "Series.std": days.std(),
    "Series.sem": days.sem(),
    "groupby.std": days.groupby(groups).std().pint.quantity[0],
    "numpy.ptp": numpy.ptp(values),
}
kelvin = {name: float(spread.to("kelvin").magnitude) for name, spread in spreads.items()}
for name, spread in spreads.items():
    print(f"{name:16} {float(spread.magnitude):5.2f} {spread.units} = {kelvin[name]:6.2f} K")
assert abs(kelvin["numpy.std"] - right) < 1e-9 and abs(kelvin["largest .diff()"] - 5) < 1e-9

sides = pandas.Series([2.0, 3.0], dtype="pint[km]")
product = sides.groupby([1, 1]).prod().pint.quantity[0]
print("2 km * 3 km by groupby.prod:", product.to("m"), " by pint:", (sides[0] * sides[1]).to("m^2"))

is_as_seen = (
    all(kelvin[name] > 273 for name in ("Series.std", "Series.sem", "groupby.std", "numpy.ptp"))
    and str(product.units) == "kilometer"
)
if not is_as_seen:
    print("CHANGED")
sys.exit(not is_as_seen)
P
"$dir/env/bin/python" "$dir/spread.py"
