#!/usr/bin/env bash
# Packages: healpy 1.20.1 with numpy 2.4.6.
# Behaviour: a bad pixel of a healpy map has the value UNSEEN (-1.6375e30), which its functions leave out, and they
#   take masked arrays of NumPy, too. They fill the masked pixels with the array's own fill_value, which is UNSEEN
#   only in one that hp.ma has made. numpy.ma.masked_where, masked_greater and the like make 1e20 of them, a good
#   pixel: means of ud_grade, spectra of anafast, dipoles, smoothed and written maps have it. Nothing raises or warns.
#   The docstring of the function that fills, ma_to_array, says "masked values replace by UNSEEN". m.filled(hp.UNSEEN)
#   is right, and so is m.set_fill_value(hp.UNSEEN).
# Seen 2026-12-02: 47 pixels of 1 and a masked one: ud_grade to 12 pixels has 2.5e+19, fit_dipole a monopole of
#   2.1e+18; read from a file the pixel is 1e+20. By m.filled(hp.UNSEEN) 1, 1 and UNSEEN.
# Fails (exit 1) when the masked pixel is left out.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/env"; "$dir/env/bin/pip" install -q --no-compile --disable-pip-version-check --only-binary=:all: healpy==1.20.1 numpy==2.4.6
cat > "$dir/sky.py" <<'P'
import logging
import sys
import warnings

import healpy
import numpy

logging.disable(logging.INFO)
warnings.simplefilter("error")
warnings.filterwarnings("ignore", category=DeprecationWarning)

sky = numpy.append(numpy.ones(47), 5e5)
masked = numpy.ma.masked_greater(sky, 100)
filled = masked.filled(healpy.UNSEEN)
as_advised = masked.copy()
as_advised.set_fill_value(healpy.UNSEEN)
found = {}
for way, pixels in {"masked": masked, "hp.ma": healpy.ma(filled), "filled": filled, "set": as_advised}.items():
    healpy.write_map("sky.fits", pixels, overwrite=True, dtype=float)
    found[way] = [
        float(healpy.ud_grade(pixels, 1).max()),
        float(healpy.fit_dipole(pixels)[0]),
        float(healpy.anafast(pixels)[0]),
        float(healpy.read_map("sky.fits")[-1]),
    ]
    coarse, monopole, power, read = found[way]
    print(f"{way}: ud_grade {coarse:.3g}, monopole {monopole:.3g}, C_0 {power:.3g}, pixel in a file {read:.5g}")
first = found.pop("masked")
is_as_seen = first[0] == 2.5e19 and first[1] > 1e18 and first[2] > 1e36 and first[3] == 1e20
is_as_seen = is_as_seen and all(
    numpy.allclose(values[:2], 1) and values[2] < 100 and numpy.isclose(values[3], healpy.UNSEEN)
    for values in found.values()
)
if not is_as_seen:
    print("CHANGED")
sys.exit(not is_as_seen)
P
cd "$dir" && "$dir/env/bin/python" sky.py
