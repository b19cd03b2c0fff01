#!/usr/bin/env bash
# Packages: npTDMS 1.13.0 with numpy 2.4.6; on a little-endian machine.
# Behaviour: TDMS is the format of LabVIEW. TdmsWriter writes the bytes of an array as they lie and calls them
#   little-endian: big-endian samples, as FITS, SAC and netCDF 3 give them, are others in the file, 1.0 is 3e-319 and the
#   whole number 1 is 256. A list is written with the smallest type of its first element, so that 0, 0.5, 1.5 are
#   0, 0, 1. A masked sample is the number under its mask. Nothing raises or warns. The docstring says of the data "1-D Numpy
#   array of data to be written"; lists are taken, and numbers are right if the first is a fraction.
#   numpy.asarray(values, dtype=float) makes arrays and lists right, .filled(numpy.nan) masks.
# Seen 2026-12-02: 0.0, 1.0, 2.0 as ">f8" -> 0.0, 3.04e-319, 3.16e-322; [0, 0.5, 1.5] -> 0, 0, 1.
# Fails (exit 1) when the big-endian samples and the list are read as they were, or are refused.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/env"; "$dir/env/bin/pip" install -q --no-compile --disable-pip-version-check --only-binary=:all: npTDMS==1.13.0 numpy==2.4.6
cat > "$dir/samples.py" <<'P'
import sys
import warnings

import numpy as np
from nptdms import ChannelObject, TdmsFile, TdmsWriter

warnings.simplefilter("error")


def written(samples):
    with TdmsWriter("rig.tdms") as file:
        file.write_segment([ChannelObject("rig", "strain", samples)])
    found = TdmsFile.read("rig.tdms")["rig"]["strain"][:].tolist()
    print(f"{samples!r} -> {found}")
    return found


assert written(np.array([0.0, 1.0, 2.0])) == [0, 1, 2] and written([0.5, 0, 1.5]) == [0.5, 0, 1.5]
floats, integers = written(np.array([0.0, 1.0, 2.0], dtype=">f8")), written(np.array([0, 1, 2], dtype=">i2"))
fractions = written([0, 0.5, 1.5])
written(np.ma.masked_array([1.0, -999.0], [False, True]))
assert written(np.asarray([0, 0.5, 1.5], dtype=float)) == [0, 0.5, 1.5]
is_as_seen = 0 < floats[1] < 1e-300 and integers == [0, 256, 512] and fractions == [0, 0, 1]
if not is_as_seen:
    print("CHANGED")
sys.exit(not is_as_seen)
P
cd "$dir" && "$dir/env/bin/python" samples.py
