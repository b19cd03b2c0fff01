#!/usr/bin/env bash
# Packages: gwpy 4.1.0 with astropy 8.0.2 and numpy 2.4.6.
# Behaviour: once anything has read the .times of a TimeSeries (a plot does), .copy(), copy.deepcopy, crop, slices, taper
#   and whiten give series with a sample rate of their own. It is worked out anew from two neighbouring GPS times, which
#   a float of about 1.1e9 holds to 2.4e-7 s only: 100 Hz becomes 100.0000954 Hz and a minute ends 57 microseconds early.
#   To append the next block then fails with "sample sizes do not match: 0.00999999 s vs 0.01 s", and with
#   inplace=False, which copies, even for the series that still has 100 Hz. Had nobody looked at the times, all is well;
#   pickle keeps the rate. Powers of two, as of LIGO's channels, are spared; 100 Hz is what seismometers have.
# Seen 2026-11-29: 100.0 before, 100.00009536752259 after the times were read, for copy, deepcopy, crop, slice and taper;
#   100.0 by pickle; append: works before, ValueError after.
# Fails (exit 1) when the copy has the sample rate of the series.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/env"; "$dir/env/bin/pip" install -q --disable-pip-version-check --only-binary=:all: gwpy==4.1.0 astropy==8.0.2 numpy==2.4.6
cat > "$dir/rates.py" <<'P'
import copy
import pickle
import sys

import numpy
from gwpy.timeseries import TimeSeries

START = 1126259462.4

def minute(start=START):
    return TimeSeries(numpy.arange(6000.0) % 7, sample_rate=100, t0=start)

def append(series):
    try:
        return len(series.append(minute(START + 60), inplace=False))
    except ValueError as error:
        return f"ValueError: {error}"

actions = {
    "copy": lambda series: series.copy(),
    "deepcopy": copy.deepcopy,
    "crop": lambda series: series.crop(START + 10, START + 20),
    "slice": lambda series: series[10:20],
    "taper": lambda series: series.taper(),
    "pickle": lambda series: pickle.loads(pickle.dumps(series, 5)),
}
before, after = {}, {}
for name, action in actions.items():
    series = minute()
    before[name] = action(series).sample_rate.value
    series.times
    after[name] = action(series).sample_rate.value
    print(f"{name}: {before[name]} Hz, once the times were read {after[name]} Hz")
series = minute()
lengths = [append(series)]
series.times
lengths.append(append(series))
print("append:", *lengths, sep="\n  ")
print("end of the minute and of its copy:", series.span[1], series.copy().span[1])
kept = {name for name in actions if after[name] == 100.0}
sys.exit(set(before.values()) != {100.0} or kept != {"pickle"} or lengths[0] != 12000 or lengths[1] == 12000)
P
"$dir/env/bin/python" -W ignore "$dir/rates.py" || { echo "CHANGED"; exit 1; }
