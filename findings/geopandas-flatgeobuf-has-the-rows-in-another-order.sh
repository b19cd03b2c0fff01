#!/usr/bin/env bash
# Packages: geopandas 1.2.0, pyogrio 0.13.0 (its GDAL 3.12.4), shapely 2.2.0, pandas 3.1.1, numpy 2.4.6.
# Behaviour: a GeoDataFrame written with driver="FlatGeobuf" is read back with its rows in another order (that of a
#   spatial index, which GDAL makes by default), under a fresh index 0, 1, 2, so whatever is matched to it by row, say
#   the array of magnitudes that it was made with, is matched to other places. GeoPackage and GeoJSON keep the order;
#   FlatGeobuf does with SPATIAL_INDEX="NO". All of them cut times to the millisecond, downwards: a pick at 0.9999 s
#   is at 0.999 s. Neither raises nor warns.
# Seen 2026-11-29: FlatGeobuf magnitudes [3.0, 4.0, 1.0, 2.0, 5.0]; the others in order; times -0.0009 s in all.
# Fails (exit 1) when FlatGeobuf keeps the order of the rows, or one of the formats the microseconds.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/env"; "$dir/env/bin/pip" install -q --disable-pip-version-check --only-binary=:all: geopandas==1.2.0 pyogrio==0.13.0 shapely==2.2.0 pandas==3.1.1 numpy==2.4.6
cat > "$dir/rows.py" <<'P'
import sys
import warnings

import geopandas
import numpy
import pandas
from shapely import Point

warnings.simplefilter("error")
magnitudes = numpy.array([1.0, 2.0, 3.0, 4.0, 5.0])
places = [Point(x, y) for x, y in [(14, 41), (-120, 37), (140, 38), (15, 42), (-70, -30)]]
times = pandas.to_datetime(["2026-01-01T00:00:00.999900"] * 5)
events = geopandas.GeoDataFrame({"magnitude": magnitudes, "time": times}, geometry=places, crs=4326)

same = []
for driver, name, options, order in [
    ("GPKG", "events.gpkg", {}, True),
    ("GeoJSON", "events.geojson", {}, True),
    ("FlatGeobuf", "events.fgb", {}, False),
    ("FlatGeobuf", "plain.fgb", {"SPATIAL_INDEX": "NO"}, True),
]:
    events.to_file(name, driver=driver, **options)
    back = geopandas.read_file(name)
    later = back["time"][0] - times[0]
    print(f"{driver} {options}: index {back.index.tolist()} magnitudes {back['magnitude'].tolist()} times {later.total_seconds():+f} s")
    same += [(back["magnitude"].to_numpy() == magnitudes).all() == order, later == pandas.Timedelta("-900us")]
sys.exit(not all(same))
P
cd "$dir" && "$dir/env/bin/python" rows.py || { echo "CHANGED"; exit 1; }
