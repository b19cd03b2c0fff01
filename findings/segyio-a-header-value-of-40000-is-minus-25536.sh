#!/usr/bin/env bash
# Packages: segyio 1.9.14 with numpy 2.4.6.
# Behaviour: many values of a SEG-Y header have 16 bits.  segyio takes a larger one modulo 65536, and reads most of them
#   with a sign: a delay of 70000 ms is 4464 ms, one of -40000 ms is 25536, and an interval of 40000 microseconds is
#   -25536, while a number of samples of 50000 is right.  Nothing raises or warns; a fraction is an error.  The docstring
#   of the assignment says "Set d[key] to val" and that it returns "The value set".
# Seen 2026-12-01: delay 70000 -> 4464, interval 40000 -> -25536; 50000 samples -> 50000.
# Fails (exit 1) when a value that does not fit raises an error, or is read as it was.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/env"; "$dir/env/bin/pip" install -q --no-compile --disable-pip-version-check --only-binary=:all: segyio==1.9.14 numpy==2.4.6
cat > "$dir/headers.py" <<'P'
import sys
import warnings

import numpy
import segyio

warnings.simplefilter("error")
spec = segyio.spec()
spec.format, spec.samples, spec.tracecount = 5, numpy.arange(10) * 4.0, 1
with segyio.create("line.sgy", spec) as file:
    file.trace[0] = numpy.arange(10, dtype="float32")


def written(key, value):
    with segyio.open("line.sgy", "r+", ignore_geometry=True) as file:
        file.header[0] = {key: value}
    with segyio.open("line.sgy", ignore_geometry=True) as file:
        return file.header[0][key]


seen = [
    ("delay in ms", segyio.su.delrt, 4000, 4000),
    ("delay in ms", segyio.su.delrt, 70000, 4464),
    ("delay in ms", segyio.su.delrt, -40000, 25536),
    ("interval in us", segyio.su.dt, 40000, -25536),
    ("samples", segyio.su.ns, 50000, 50000),
    ("cdp, of 32 bits", segyio.su.cdpx, 70000, 70000),
]
found = [written(key, value) for _, key, value, _ in seen]
for (name, _, value, _), other in zip(seen, found):
    print(f"{name:16} {value:6} -> {other}")
is_as_seen = found == [other for *_, other in seen]
if not is_as_seen:
    print("CHANGED")
sys.exit(not is_as_seen)
P
cd "$dir" && "$dir/env/bin/python" headers.py
