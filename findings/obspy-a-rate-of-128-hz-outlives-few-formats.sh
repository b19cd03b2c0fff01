#!/usr/bin/env bash
# Packages: obspy 1.5.1 with numpy 2.4.6.
# Behaviour: a trace of 128 Hz that starts at a fraction of a second is written and read again. SAC, Q (Seismic Handler),
#   SEG-Y and SU come back with 128.0082 Hz, as the interval of 7812.5 microseconds is cut to 7812: over a day the samples
#   drift by 5.5 seconds. SEG-Y and SU hold whole microseconds, and the writer of Q six decimals; SAC's file holds 1/128
#   exactly, and the reader rounds it, with a warning; the others give none. 300 Hz fares likewise, 100 Hz never shows it.
#   An SU file of 30 Hz is written without complaint and then is of "Unknown format" to read(). The start is cut to the
#   second in SEG-Y and SU (the tutorial's code says so in a comment), to the millisecond in GSE2, Q and SH_ASC. MiniSEED,
#   SLIST and TSPAIR keep the rate, and the start to a microsecond.
# Seen 2026-11-29: the table below; no warning but SAC's (and SEG-Y's about a header that it makes, not about times).
# Fails (exit 1) when one line of the table changes.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/env"; "$dir/env/bin/pip" install -q --disable-pip-version-check --only-binary=:all: obspy==1.5.1 numpy==2.4.6
cat > "$dir/rates.py" <<'P'
import sys
import warnings

import numpy
from obspy import Trace, UTCDateTime, read

START = UTCDateTime(ns=1577836800123456000)

def there_and_back(form, rate):
    samples = numpy.arange(100, dtype="i4" if form in ("MSEED", "GSE2") else "f4")
    header = {"station": "ABC", "channel": "HHZ", "sampling_rate": rate, "starttime": START}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            Trace(samples, header).write("trace", format=form)
            back = read("trace.QHD" if form == "Q" else "trace")[0].stats
        except Exception as error:
            return f"{type(error).__name__} by {'read' if 'Unknown format' in str(error) else 'write'}"
    told = any("rounded" in str(warning.message) or "time" in str(warning.message) for warning in caught)
    return f"{back.sampling_rate:.4f} Hz, start {back.starttime - START:+.6f} s, {'warned' if told else 'silent'}"

seen = {form: there_and_back(form, 128.0) for form in ("MSEED", "SLIST", "TSPAIR", "GSE2", "SH_ASC", "SAC", "Q", "SEGY", "SU")}
seen["SU at 30 Hz"] = there_and_back("SU", 30.0)
for name, outcome in seen.items():
    print(f"{name}: {outcome}")
expected = {
    "MSEED": "128.0000 Hz, start +0.000000 s, silent",
    "SLIST": "128.0000 Hz, start +0.000000 s, silent",
    "TSPAIR": "128.0000 Hz, start +0.000000 s, silent",
    "GSE2": "128.0000 Hz, start -0.000456 s, silent",
    "SH_ASC": "128.0000 Hz, start -0.000456 s, silent",
    "SAC": "128.0082 Hz, start +0.000000 s, warned",
    "Q": "128.0082 Hz, start -0.000456 s, silent",
    "SEGY": "128.0082 Hz, start -0.123456 s, silent",
    "SU": "128.0082 Hz, start -0.123456 s, silent",
    "SU at 30 Hz": "TypeError by read",
}
sys.exit(seen != expected)
P
cd "$dir" && "$dir/env/bin/python" rates.py || { echo "CHANGED"; exit 1; }
