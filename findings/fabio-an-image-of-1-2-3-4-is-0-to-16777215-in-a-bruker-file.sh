#!/usr/bin/env bash
# Packages: fabio 2026.6.0 with numpy 2.4.6.
# Behaviour: image.convert(format) and write() make a file of an X-ray detector of an image. In a Bruker file (bruker100)
#   float64 is scaled to 24 bits, and slope and offset are in the header, LINEAR; fabio.open of the file gives the scaled
#   numbers: 1, 2, 3, 4 are 0, 5592405, 11184810, 16777215, and so are 0.25 to 1. float32 is cut to whole numbers
#   there, and in CBF, that of Pilatus detectors, where a normalized image of at most 1 has nothing left. In an OXD file
#   the least of a float image is subtracted first: 1000.5, 2000, 3, 4 are 1000, 1999, 2, 3. uint32 becomes
#   -1 above 2147483647 in both, and whole numbers below are right. EDF and TIFF keep float32. Nothing raises or
#   warns; the log says for CBF "Defaulting type to int32", for OXD "Enforce TY1 compression".
#   The docstrings of convert and write do not mention types.
# Seen 2026-12-02: as above; 0.4, 0.7, 0.9, 1.7 -> 0, 0, 0, 1 in CBF.
# Fails (exit 1) when 1, 2, 3, 4 are read back from the Bruker file, or the fractions from CBF.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/env"; "$dir/env/bin/pip" install -q --no-compile --disable-pip-version-check --only-binary=:all: fabio==2026.6.0 numpy==2.4.6
cat > "$dir/images.py" <<'P'
import sys
import warnings

import fabio
import numpy as np
from fabio.edfimage import EdfImage

warnings.simplefilter("error")


def written(numbers, kind, form, name):
    image = EdfImage(data=np.array(numbers, dtype=kind).reshape(2, 2)).convert(form)
    image.write(name)
    back = fabio.open(name)
    found = back.data.ravel().tolist()
    print(f"{form:9} {kind:7} {numbers} -> {found} {back.header.get('LINEAR', '')}", flush=True)
    return found


counts, scaled = [1, 2, 3, 4], [0.4, 0.7, 0.9, 1.7]
for form, name in (("bruker100", "a.sfrm"), ("cbf", "a.cbf"), ("oxd", "a.img")):
    assert written(counts, "int32", form, name) == counts
for form, name in (("edf", "a.edf"), ("tif", "a.tif")):
    assert np.allclose(written(scaled, "float32", form, name), scaled)
bruker = written(counts, "float64", "bruker100", "b.sfrm")
written([0.25, 0.5, 0.75, 1.0], "float64", "bruker100", "c.sfrm")
cbf = written(scaled, "float32", "cbf", "b.cbf")
oxford = written([1000.5, 2000.0, 3.0, 4.0], "float64", "oxd", "b.img")
written([1, 2, 3, 4294967295], "uint32", "oxd", "c.img")
written([1, 2, 3, 4294967295], "uint32", "bruker100", "d.sfrm")
is_as_seen = bruker == [0, 5592405, 11184810, 16777215] and cbf == [0, 0, 0, 1] and oxford == [1000, 1999, 2, 3]
if not is_as_seen:
    print("CHANGED")
sys.exit(not is_as_seen)
P
cd "$dir" && "$dir/env/bin/python" images.py
