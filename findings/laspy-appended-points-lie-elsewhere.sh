#!/usr/bin/env bash
# Packages: laspy 2.7.0 with numpy 2.4.6.
# Behaviour: a LAS file keeps coordinates as whole numbers with a scale and an offset, which differ from tile to tile.
#   A file opened with mode "a" takes the whole numbers of other points as they are: points of a tile with another
#   offset or scale are at another place, mostly that of the first tile, and the point format is all that is checked.
#   So do LasData(header, points) and what it writes.  The points know their scales and offsets;
#   LasWriter.write_points converts by them (and its docstring says so; that of append_points speaks of the format
#   only), as does assigning las.points.  The README of laspy shows how to append the points of one file to another.
# Seen 2026-12-01: tiles at x = 1000, 1001 (scale 0.001) and 2000, 2001 (scale 0.01): appended 1000, 1001, 1000,
#   1000.1; written 1000, 1001, 2000, 2001.
# Fails (exit 1) when the appended points are where they were, or are refused.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/env"; "$dir/env/bin/pip" install -q --no-compile --disable-pip-version-check --only-binary=:all: laspy==2.7.0 numpy==2.4.6
cat > "$dir/tiles.py" <<'P'
import sys
import warnings

import laspy
import numpy as np

warnings.simplefilter("error")


def tile(name, x, offset, scale):
    header = laspy.LasHeader(point_format=6, version="1.4")
    header.offsets, header.scales = [offset, 0, 0], [scale] * 3
    las = laspy.LasData(header)
    las.x, las.y, las.z = np.array(x), np.array(x) + 1, np.array(x) + 2
    las.write(name)
    return laspy.read(name)


west = tile("west.las", [1000.0, 1001.0], 1000, 0.001)
east = tile("east.las", [2000.0, 2001.0], 2000, 0.01)
print("tiles: ", np.asarray(west.x), np.asarray(east.x))

with laspy.open("written.las", mode="w", header=west.header) as file:
    file.write_points(west.points)
    file.write_points(east.points)
written = np.asarray(laspy.read("written.las").x)

tile("appended.las", [1000.0, 1001.0], 1000, 0.001)
with laspy.open("east.las") as source, laspy.open("appended.las", mode="a") as file:
    for points in source.chunk_iterator(1):
        file.append_points(points)
appended = np.asarray(laspy.read("appended.las").x)

made = np.asarray(laspy.LasData(west.header, east.points).x)
print("write_points: ", written)
print("append_points:", appended)
print("LasData(header of west, points of east):", made)
assert np.allclose(written, [1000, 1001, 2000, 2001])
is_as_seen = np.allclose(appended, [1000, 1001, 1000, 1000.1]) and np.allclose(made, [1000, 1000.1])
if not is_as_seen:
    print("CHANGED")
sys.exit(not is_as_seen)
P
cd "$dir" && "$dir/env/bin/python" tiles.py
