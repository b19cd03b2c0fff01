#!/usr/bin/env bash
# Packages: tables 3.11.1 (PyTables) with numpy 2.4.6.
# Behaviour: a column Time64Col of a table, and an EArray of Time64Atom, look like float64 seconds since 1970: that is
#   their type in NumPy.  On disk each is 32 bits of seconds and 32 of microseconds, and a time that does not fit wraps
#   around: 2038-01-19 03:14:08 is 1901, 2100 is 1963, 1800 is 1936.  A missing time, nan, is read as 0, which is
#   1970, and what is below a microsecond is lost.  Conditions go by these values, too: read_where("t > 3e9") finds
#   nothing.  Nothing raises or warns.  A Float64Col is right.  The class has for a description "Defines an atom of type
#   time64".
# Seen 2026-12-01: 2147483648.0 -> -2147483648.0, 4102444800.0 (2100) -> -192523082.9568 (1963), nan -> 0.0, 4e-7 -> 0.0.
# Fails (exit 1) when the times are read as they were written.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/env"; "$dir/env/bin/pip" install -q --no-compile --disable-pip-version-check --only-binary=:all: tables==3.11.1 numpy==2.4.6
cat > "$dir/times.py" <<'P'
import datetime
import math
import sys
import warnings

import tables

warnings.simplefilter("error")
times = [1767225600.25, 2147483647.0, 2147483648.0, 4102444800.0, -5364662400.0, math.nan, 4e-7]
first = datetime.datetime(1970, 1, 1)


def text(seconds):
    return "missing" if math.isnan(seconds) else str(first + datetime.timedelta(seconds=seconds))


with tables.open_file("runs.h5", "w") as file:
    table = file.create_table("/", "table", {"t": tables.Time64Col(), "f": tables.Float64Col()})
    table.append([(time, time) for time in times])
    file.create_earray("/", "array", atom=tables.Time64Atom(), shape=(0,)).append(times)
with tables.open_file("runs.h5") as file:
    read, floats, array = file.root.table.col("t"), file.root.table.col("f"), file.root.array[:]
    chosen = [len(file.root.table.read_where(f"{name} > 3e9")) for name in "tf"]
assert read.dtype == floats.dtype == array.dtype == float
assert [*map(repr, floats.tolist())] == [*map(repr, times)]
for time, other in zip(times, read.tolist()):
    print(f"{time!r:14} {text(time):20} -> {other!r:18} {text(other)}")
print("later than 3e9: of Time64Col", chosen[0], "of Float64Col", chosen[1])
is_as_seen = (
    read[0] == times[0]
    and read[2] == -2147483648
    and [text(time)[:4] for time in read[3:5].tolist()] == ["1963", "1936"]
    and read[5] == read[6] == 0
    and array.tolist() == read.tolist()
    and chosen == [0, 1]
)
if not is_as_seen:
    print("CHANGED")
sys.exit(not is_as_seen)
P
cd "$dir" && "$dir/env/bin/python" times.py
