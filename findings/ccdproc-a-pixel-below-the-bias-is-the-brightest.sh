#!/usr/bin/env bash
# Packages: ccdproc 2.5.1, astropy 8.0.2 with numpy 2.4.6.
# Behaviour: the raw frames of a CCD are unsigned integers of 16 bits, and CCDData.read keeps them so. subtract_bias
#   of a bias of that type, one frame for instance, subtract_dark without scale, and ccd_process compute in it, so
#   that a pixel of 90 less a bias of 100 is 65526. CCDData.add and multiply have no more bits: twice 60000 is 54464.
#   The dark half of the noise of a frame becomes its brightest part. Nothing raises or warns, and the docstrings do
#   not mention types. A bias that combine has made is float64, with which it is right, as subtract_overscan is,
#   subtract_dark with scale=True, and gain_correct; so is raw.astype(float) in CCDData.
# Seen 2026-12-02: 90, 110, 100, 60000 less 100: 65526, 10, 0, 59900; with a combined bias -10, 10, 0, 59900.
# Fails (exit 1) when the first pixel is -10, or an error is raised.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/env"; "$dir/env/bin/pip" install -q --no-compile --disable-pip-version-check --only-binary=:all: ccdproc==2.5.1 astropy==8.0.2 numpy==2.4.6
cat > "$dir/frames.py" <<'P'
import sys
import warnings

import astropy.units as u
import ccdproc
import numpy
from astropy.io import fits
from astropy.nddata import CCDData

warnings.simplefilter("error")
warnings.filterwarnings("ignore", category=DeprecationWarning)

fits.writeto("raw.fits", numpy.array([[90, 110], [100, 60000]], "u2"))
fits.writeto("bias.fits", numpy.full((2, 2), 100, "u2"))
raw, bias = CCDData.read("raw.fits", unit="adu"), CCDData.read("bias.fits", unit="adu")
second = {"dark_exposure": 1 * u.s, "data_exposure": 1 * u.s}
found = {
    "subtract_bias": ccdproc.subtract_bias(raw, bias),
    "subtract_dark": ccdproc.subtract_dark(raw, bias, **second),
    "ccd_process": ccdproc.ccd_process(raw, master_bias=bias),
    "subtract_dark, scale=True": ccdproc.subtract_dark(raw, bias, scale=True, **second),
    "subtract_overscan": ccdproc.subtract_overscan(raw, overscan=bias),
    "subtract_bias, combined": ccdproc.subtract_bias(raw, ccdproc.combine([bias, bias])),
    "subtract_bias, astype(float)": ccdproc.subtract_bias(CCDData(raw.data.astype(float), unit="adu"), bias),
}
for name, frame in found.items():
    print(f"{name}: {frame.data.ravel().tolist()}")
double = raw.multiply(2).data.ravel().tolist()
print("multiply(2):", double)

values = [frame.data.ravel().tolist() for frame in found.values()]
is_as_seen = values == [[65526, 10, 0, 59900]] * 3 + [[-10, 10, 0, 59900]] * 4
is_as_seen = is_as_seen and double == [180, 220, 200, 54464]
if not is_as_seen:
    print("CHANGED")
sys.exit(not is_as_seen)
P
cd "$dir" && "$dir/env/bin/python" frames.py
