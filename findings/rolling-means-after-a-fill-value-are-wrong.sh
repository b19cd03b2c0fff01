#!/usr/bin/env bash
# Packages: xarray 2026.9.0, numbagg 0.9.6, bottleneck 1.6.1, scipy 1.17.1, pandas 3.1.1 with numpy 2.4.6.
# Behaviour: a running mean adds the value that comes into its window and subtracts the one that leaves.  After one
#   value of 1e20, the fill value of climate models, or 9.97e36, that of netCDF, all digits of the small ones are
#   gone, so all means to the end of the series (or of the row of an image) are wrong by a constant, long after the
#   window has left the value: they look like data.  So do xarray's rolling().mean() and sum() where numbagg is
#   installed, which is then the default, or with set_options(use_bottleneck=True), and scipy.ndimage.uniform_filter.
#   xarray without the two, pandas, which corrects such sums, and numpy.convolve are right.  So one program has two
#   results, by what is installed.  Nothing warns; the two are of xarray's extra "accel", and the docstrings of
#   rolling, set_options, move_mean and uniform_filter1d do not mention it.
# Seen 2026-12-01: means of pairs in 1, 2, 3, 1e20, 5, 6, 7, 8, 9: last 5.5, 6.5, 7.5, 8.5 by pandas; 3, 4, 5, 6
#   (numbagg), 0, 1, 2, 3 (bottleneck), uniform_filter1d of three 0, 1, 2 for 6, 7, 8.
# Fails (exit 1) when xarray with numbagg or with bottleneck, or uniform_filter1d, is right.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/env"; "$dir/env/bin/pip" install -q --no-compile --disable-pip-version-check --only-binary=:all: xarray==2026.9.0 numbagg==0.9.6 bottleneck==1.6.1 scipy==1.17.1 pandas==3.1.1 numpy==2.4.6
cat > "$dir/means.py" <<'P'
import sys
import warnings

import numpy as np
import pandas as pd
import xarray as xr
from scipy.ndimage import uniform_filter1d

warnings.simplefilter("error")
values = np.array([1, 2, 3, 1e20, 5, 6, 7, 8, 9])
series = xr.DataArray(values, dims="time")


def pairs(**options):
    with xr.set_options(**options):
        return series.rolling(time=2).mean().values[5:]


found = {
    "pandas": pd.Series(values).rolling(2).mean().to_numpy()[5:],
    "xarray without accelerators": pairs(use_numbagg=False, use_bottleneck=False),
    "xarray as it is (numbagg)": pairs(),
    "xarray with bottleneck": pairs(use_numbagg=False, use_bottleneck=True),
}
right = np.array([5.5, 6.5, 7.5, 8.5])
for name, means in found.items():
    print(f"{name:28}", means)
assert np.array_equal(found["pandas"], right)
assert np.array_equal(found["xarray without accelerators"], right)
accelerated = [found["xarray as it is (numbagg)"], found["xarray with bottleneck"]]

triples = uniform_filter1d(values, 3)[5:8]
by_hand = np.convolve(values, np.ones(3) / 3, mode="same")[5:8]
print("uniform_filter1d of three   ", triples, "numpy.convolve", by_hand)
assert np.allclose(by_hand, [6, 7, 8])
is_as_seen = all(np.all(np.abs(means - right) >= 1) for means in accelerated)
is_as_seen = is_as_seen and np.all(np.abs(triples - by_hand) >= 1)
if not is_as_seen:
    print("CHANGED")
sys.exit(not is_as_seen)
P
"$dir/env/bin/python" "$dir/means.py"
