#!/usr/bin/env bash
# Packages: sunpy 7.0.5, mpl-animators 1.2.4, astropy 8.0.2, pandas 2.3.3 with numpy 2.4.6.
# Behaviour: a TimeSeries has a unit for each column. concatenate puts the numbers of two series one below the other
#   and takes the unit of the last for all of them: after a flux in W/m2, one in mW/m2 makes milliwatts of the watts,
#   and in the other order watts of the milliwatts. Units that cannot be converted, seconds after watts, do the same.
#   Nothing raises or warns. add_column converts to the unit of the column. The docstring says of the columns that it
#   keeps "the column values from the original timeseries", that it removes duplicate times, which stay as well, and
#   nothing of units.
# Seen 2026-12-02: 1 and 2 W/m2, then 3 and 4 mW/m2: quantity("flux") is 1, 2, 3, 4 mW/m2; a time of both is there
#   twice.
# Fails (exit 1) when the first value is 1 W/m2.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/env"; "$dir/env/bin/pip" install -q --no-compile --disable-pip-version-check --only-binary=:all: "sunpy[timeseries]==7.0.5" mpl-animators==1.2.4 astropy==8.0.2 pandas==2.3.3 numpy==2.4.6
cat > "$dir/flux.py" <<'P'
import sys
import warnings

import astropy.units as u
import pandas
from sunpy.timeseries import TimeSeries

warnings.simplefilter("error")
warnings.filterwarnings("ignore", category=DeprecationWarning)


def series(first_day, values, unit):
    days = pandas.date_range(first_day, periods=len(values), freq="D")
    return TimeSeries(pandas.DataFrame({"flux": values}, index=days), {}, {"flux": unit})


watts = series("2026-01-01", [1.0, 2.0], u.W / u.m**2)
milliwatts = series("2026-01-03", [3.0, 4.0], u.mW / u.m**2)
seconds = series("2026-01-03", [3.0, 4.0], u.s)
found = {
    "W/m2, then mW/m2": watts.concatenate(milliwatts).quantity("flux"),
    "mW/m2, then W/m2": milliwatts.concatenate(watts).quantity("flux"),
    "W/m2, then s": watts.concatenate(seconds).quantity("flux"),
    "add_column": watts.add_column("flux", [3.0, 4.0] * u.mW / u.m**2).quantity("flux"),
}
for name, flux in found.items():
    print(f"{name}: {flux}")
again = series("2026-01-02", [5.0, 6.0], u.W / u.m**2)
times = [str(day.date()) for day in watts.concatenate(again).to_dataframe().index]
print("times of two series with a day in common:", times)

mixed, other, impossible, added = found.values()
is_as_seen = mixed.unit == u.mW / u.m**2 and mixed.value.tolist() == [1, 2, 3, 4]
is_as_seen = is_as_seen and other.unit == u.W / u.m**2 and sorted(other.value) == [1, 2, 3, 4]
is_as_seen = is_as_seen and impossible.unit == u.s and impossible.value.tolist() == [1, 2, 3, 4]
is_as_seen = is_as_seen and abs(added[0].to_value(u.W / u.m**2) - 0.003) < 1e-12
if not is_as_seen:
    print("CHANGED")
sys.exit(not is_as_seen)
P
cd "$dir" && "$dir/env/bin/python" flux.py
