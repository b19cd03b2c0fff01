#!/usr/bin/env bash
# Packages: pyreadstat 1.3.8 with pandas 3.1.1, numpy 2.4.6, narwhals 2.29.0.
# Behaviour: write_sav, write_dta, write_xport and write_por write each time of a column of type datetime64[s] as
#   1970-01-01 00:00:00; those of datetime64[ms], [us] and [ns] are right, and missing ones stay missing. Nothing
#   raises or warns. pandas gives a column that type when it is made of an array of datetime64[s], or [D] (days), of
#   numpy. The writer knows the units ms, us and ns, and hands a column in seconds to the conversion of single elements
#   (convert_datetimelike_to_number in _readstat_writer.pyx), which takes elements of the very type datetime.datetime
#   alone and writes 0 for a Timestamp. Besides, a column of big-endian numbers, as FITS has them, is written as text.
# Seen 2026-12-03: 2026-12-03 10:30 and 23:59:59 in seconds -> 1970-01-01 twice, in all four formats; days, too;
#   big-endian 0.5 -> "0.5".
# Fails (exit 1) when times in seconds are read back, or big-endian numbers are numbers.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/env"; "$dir/env/bin/pip" install -q --no-compile --disable-pip-version-check --only-binary=:all: pyreadstat==1.3.8 pandas==3.1.1 numpy==2.4.6 narwhals==2.29.0
cat > "$dir/times.py" <<'P'
import os
import sys
import warnings

import numpy as np
import pandas
import pyreadstat

warnings.simplefilter("error")
FORMATS = {
    "sav": (pyreadstat.write_sav, pyreadstat.read_sav),
    "dta": (pyreadstat.write_dta, pyreadstat.read_dta),
    "xpt": (pyreadstat.write_xport, pyreadstat.read_xport),
    "por": (pyreadstat.write_por, pyreadstat.read_por),
}


def read_back(values, name):
    write, read = FORMATS[name]
    path = os.path.join(sys.argv[1], f"table.{name}")
    write(pandas.DataFrame({"x": values}), path)
    return read(path)[0].iloc[:, 0].tolist()


times = np.array(["2026-12-03T10:30:00", "2026-12-03T23:59:59", "NaT"], dtype="datetime64[s]")
days = np.array(["2026-12-03", "2026-12-04"], dtype="datetime64[D]")
assert pandas.Series(times).dtype == pandas.Series(days).dtype == "datetime64[s]"
epoch = pandas.Timestamp("1970-01-01")
is_as_seen = True
for name in FORMATS:
    # The same times in any other unit are read back, so the files and the reader are right.
    for unit in ("ms", "us", "ns"):
        right = read_back(pandas.Series(times).astype(f"datetime64[{unit}]"), name)
        assert right[:2] == [pandas.Timestamp(time) for time in times[:2]] and right[2] is pandas.NaT
    in_seconds, in_days = read_back(times, name), read_back(days, name)
    big_endian = read_back(np.array([0.5, 1.0], dtype=">f8"), name)
    assert read_back(np.array([0.5, 1.0]), name) == [0.5, 1.0]
    print(f"{name}: {times[0]} of s is {in_seconds[0]}, of us {right[0]}; {days[1]} of days is {in_days[1]}")
    print(f"{name}: big-endian 0.5 is {big_endian[0]!r}")
    is_as_seen = (
        is_as_seen
        and in_seconds[:2] == in_days == [epoch, epoch]
        and in_seconds[2] is pandas.NaT
        and big_endian == ["0.5", "1.0"]
    )
if not is_as_seen:
    print("CHANGED")
sys.exit(not is_as_seen)
P
"$dir/env/bin/python" "$dir/times.py" "$dir"
