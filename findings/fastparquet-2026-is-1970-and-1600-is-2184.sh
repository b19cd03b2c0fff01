#!/usr/bin/env bash
# Packages: fastparquet 2026.9.0, pandas 2.3.3, pyarrow 26.0.1 with numpy 2.4.6 (the same with pandas 3.1.1).
# Behaviour: pandas has times in seconds, which arrays of datetime64[D] and [s] become.  Fastparquet divides their counts
#   by 1000 and calls them milliseconds, so the start of 2026 in UTC is half an hour after that of 1970 in the file, for
#   pyarrow and for itself.  Without a zone they are as wrong, and most cannot be read.  Lengths in seconds it calls
#   microseconds: 90 s are 0 s.  Of files of other programs it reads days before 1677 as days of other centuries, since it
#   counts nanoseconds, times of day as bare counts, and lists of lists, as tracks and contours have them, as None.
#   Nothing warns.  Its README says that pandas 3 breaks things; this is pandas 2.
# Seen 2026-12-01: 2026-01-01 -> 1970-01-01 00:29:27; 90 s -> 0 s; 1600-01-01 -> 2184-07-20; 01:00 -> 3600000; [[1.5]] ->
#   None.
# Fails (exit 1) when any of these is read as it was.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/env"; "$dir/env/bin/pip" install -q --no-compile --disable-pip-version-check --only-binary=:all: fastparquet==2026.9.0 pandas==2.3.3 pyarrow==26.0.1 numpy==2.4.6
cat > "$dir/times.py" <<'P'
import datetime
import sys
import warnings

import fastparquet
import numpy
import pandas
import pyarrow
from pyarrow import parquet

warnings.simplefilter("error")
warnings.simplefilter("ignore", ResourceWarning)  # it leaves the files open


def read(name):
    return fastparquet.ParquetFile(name).to_pandas()["x"].tolist()


def written(values):
    """Write a column by fastparquet."""
    fastparquet.write("written.parquet", pandas.DataFrame({"x": values}))
    return "written.parquet"


def others(values):
    """Write a column by pyarrow."""
    parquet.write_table(pyarrow.table({"x": values}), "others.parquet")
    assert parquet.read_table("others.parquet")["x"].to_pylist() == values
    return "others.parquet"


start = pandas.Series(numpy.array(["2026-01-01"], "datetime64[D]")).dt.tz_localize("UTC")
by_fastparquet = read(written(start))
by_pyarrow = parquet.read_table("written.parquet")["x"].to_pylist()
print("time", start[0], "->", by_fastparquet[0], "and by pyarrow", by_pyarrow[0])
length = pandas.Series(numpy.array([90], "timedelta64[s]"))
lengths = read(written(length))
print("length", length[0], "->", lengths[0])
days = read(others([datetime.date(1600, 1, 1), datetime.date(2026, 1, 1)]))
print("days 1600-01-01 and 2026-01-01 ->", *days)
clock = pyarrow.array([datetime.time(1, 0)], pyarrow.time32("s"))
parquet.write_table(pyarrow.table({"x": clock}), "clock.parquet")
clocks = read("clock.parquet")
print("time of day", clock[0], "->", clocks[0])
tracks = read(others([[[1.5, 2.5]], [[3.5], [4.5]]]))
print("lists of lists ->", tracks)
is_as_seen = (
    (by_fastparquet[0].year, by_pyarrow[0].year) == (1970, 1970)
    and lengths == [pandas.Timedelta(0)]
    and [day.year for day in days] == [2184, 2026]
    and clocks == [3_600_000]
    and tracks == [None, None]
)
if not is_as_seen:
    print("CHANGED")
sys.exit(not is_as_seen)
P
cd "$dir" && "$dir/env/bin/python" times.py
