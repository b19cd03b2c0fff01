#!/usr/bin/env bash
# Packages: arm-pyart 2.3.0, xarray 2026.9.0 with numpy 2.4.6.
# Behaviour: pyart.util.join_radar puts the rays of two radars, or of two sweeps of one, into one Radar. If the two stand at
#   different places, the altitudes are written over the latitudes: radars at 36.5 and 37.5 degrees north, 200 and 450 m
#   high, have latitudes of 200 and 450 degrees, and all rays the altitude of the first. If the gates have other spacings,
#   all have those of the longer range array (of the first, where both have as many): an echo at 2000 m is at 1000 m. The
#   numbers of a field get the unit of the first: 100 m/s after 10 dBZ are 100 dBZ. Nothing raises or warns. The docstring
#   is "Combine two radar instances into one." and names no condition; "must have same gate spacing" is a comment in the
#   source. Two sweeps of one radar with the same gates, and the times of both, are right.
# Seen 2026-12-02: latitudes 200 and 450; the last gate of the second at 1000 m in place of 2000 m; 10 and 100 dBZ.
# Fails (exit 1) when the latitudes are those of the radars, or the two are refused.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/env"; "$dir/env/bin/pip" install -q --no-compile --disable-pip-version-check --only-binary=:all: arm-pyart==2.3.0 xarray==2026.9.0 numpy==2.4.6
cat > "$dir/radars.py" <<'P'
import sys
import warnings

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import pyart
import numpy as np

warnings.simplefilter("error")


def radar(latitude=36.5, altitude=200.0, spacing=250.0, value=10.0, unit="dBZ", start=0.1):
    made = pyart.testing.make_empty_ppi_radar(5, 4, 1)
    made.latitude["data"], made.altitude["data"] = np.array([latitude]), np.array([altitude])
    made.range["data"] = np.arange(5) * spacing
    made.time.update(data=start + np.arange(4) / 4, units="seconds since 2026-12-01T00:00:00Z")
    made.add_field("echo", {"data": np.ma.masked_array(np.full((4, 5), value)), "units": unit})
    return made


def first_and_last(numbers):
    return np.asarray(numbers)[[0, -1]].tolist()


later = pyart.util.join_radar(radar(), radar(value=20.0, start=60.1))
assert first_and_last(later.fields["echo"]["data"][:, 0]) == [10, 20] and later.latitude["data"].tolist() == [36.5]
assert np.allclose(np.diff(later.time["data"])[[0, 3]], [0.25, 59.25])

sites = pyart.util.join_radar(radar(), radar(latitude=37.5, altitude=450.0))
latitudes, altitudes = first_and_last(sites.latitude["data"]), sites.altitude["data"].tolist()
print("latitudes 36.5, 37.5 and altitudes 200, 450 -> latitudes", latitudes, "altitude", altitudes)
gates = pyart.util.join_radar(radar(), radar(spacing=500.0)).range["data"].tolist()
print("last gates at 1000 and 2000 m -> all at", gates[-1], "m")
echo = pyart.util.join_radar(radar(), radar(value=100.0, unit="m/s")).fields["echo"]
print("10 dBZ and 100 m/s ->", first_and_last(echo["data"][:, 0]), echo["units"])
is_as_seen = (latitudes, gates[-1]) == ([200, 450], 1000)
is_as_seen = is_as_seen and first_and_last(echo["data"][:, 0]) == [10, 100] and echo["units"] == "dBZ"
if not is_as_seen:
    print("CHANGED")
sys.exit(not is_as_seen)
P
PYART_QUIET=1 "$dir/env/bin/python" "$dir/radars.py"
