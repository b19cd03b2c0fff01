#!/usr/bin/env bash
# Packages: traces 0.7.0 with pandas 3.1.1, numpy 2.4.6, sortedcontainers 2.4.0.
# Behaviour: TimeSeries.sample_interval takes the integers of the times of the series and of the index, and subtracts
#   one from the other without a look at their units (inflexion_times.astype("int64"), idx.astype("int64")). With
#   pandas 3 pandas.date_range gives an index in microseconds; a series has nanoseconds where its times come from an
#   array of datetime64[ns], as xarray has them, or from a file that pandas 2 has written. Each mean is then weighted
#   with a span of decades, and is far from all the values. Nothing raises or warns (where the values are integers they
#   can overflow, with a warning of NumPy). With both in one unit it is right; "max" and "min" are right in any case.
# Seen 2026-12-03: 0, 10, 20, 30 from quarter to quarter of an hour: means by half hours of 5 and 25 are -9808107070 and
#   -19616229110; of times in us by an index in seconds -9.8e12 and -2.0e13.
# Fails (exit 1) when the means are right, or units that differ are refused.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/env"; "$dir/env/bin/pip" install -q --no-compile --disable-pip-version-check --only-binary=:all: traces==0.7.0 pandas==3.1.1 numpy==2.4.6 sortedcontainers==2.4.0
cat > "$dir/means.py" <<'P'
import sys
import warnings

import numpy as np
import pandas
import traces

warnings.simplefilter("error")
start = np.datetime64("2026-01-01T00:00", "ns")  # Times of xarray, and of files by pandas 2, are in ns.
times = pandas.DatetimeIndex(start + np.arange(4) * np.timedelta64(15, "m"))
in_microseconds = times.as_unit("us")
halves = pandas.date_range("2026-01-01 00:00", "2026-01-01 01:00", freq="30min")
assert times.unit == "ns" and halves.unit == "us" and (times == in_microseconds).all()


def sampled(stamps, index, operation="mean"):
    series = traces.TimeSeries(list(zip(stamps, [0.0, 10.0, 20.0, 30.0], strict=True)))
    return series.sample_interval(idx=index, operation=operation).tolist()


found = sampled(times, halves)
print("means of 0, 10 and of 20, 30:", found, "; with both in us:", sampled(in_microseconds, halves))
# The same times in one unit are right, and so are max and min, which do not subtract the integers.
assert sampled(in_microseconds, halves) == sampled(times, halves.as_unit("ns")) == [5, 25]
for operation in ("max", "min"):
    assert sampled(times, halves, operation) == sampled(in_microseconds, halves, operation)
series = traces.TimeSeries(list(zip(times, [0.0, 10.0, 20.0, 30.0], strict=True)))
assert series.mean() == 10 and series[times[1]] == series[halves[0] + pandas.Timedelta("15min")] == 10

# By hand, for the first half hour: 10 from the second time, in ns, to the end of the half hour, in us.
by_hand = 10.0 * (int(halves.asi8[1]) - int(times.asi8[1])) / int(halves.asi8[1] - halves.asi8[0])
print("by integers of two units:", by_hand)
hours = pandas.date_range("2026-01-01 00:00", "2026-01-01 01:00", freq="30min", unit="s")
in_seconds = sampled(in_microseconds, hours)
print("of times in us with an index in seconds:", in_seconds)
is_as_seen = found == [-9808107070, -19616229110] and found[0] == by_hand and max(in_seconds) < -1e12
if not is_as_seen:
    print("CHANGED")
sys.exit(not is_as_seen)
P
"$dir/env/bin/python" "$dir/means.py"
