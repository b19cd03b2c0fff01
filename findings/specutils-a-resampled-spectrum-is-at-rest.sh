#!/usr/bin/env bash
# Packages: specutils 2.4.0, astropy 8.0.2 with numpy 2.4.6.
# Behaviour: a Spectrum has a redshift, a mask and meta, and slices, sums, smoothing and extract_region keep them. The
#   three resamplers give one with no mask, no meta and, on a grid of wavelengths, a redshift of 0 (on the axis of a
#   Spectrum its redshift). shift_spectrum_to(redshift=0) leaves it where it is then, so that what was observed at
#   5000 angstrom with redshift 0.1 is at 5000 in the rest frame and not at 4545. The values of masked pixels are
#   used: FluxConservingResampler spreads a particle's hit over two pixels that nothing marks. Nothing raises or
#   warns. The docstrings name none of the three.
# Seen 2026-12-02: redshift 0.1 -> 0.0; a masked 500 among 1: 125.75 in two pixels, mask None; meta {"object": ...} ->
#   {}.
# Fails (exit 1) when a resampled spectrum has the redshift or a mask.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/env"; "$dir/env/bin/pip" install -q --no-compile --disable-pip-version-check --only-binary=:all: specutils==2.4.0 astropy==8.0.2 numpy==2.4.6
cat > "$dir/galaxy.py" <<'P'
import copy
import logging
import sys
import warnings

import astropy.units as u
import numpy
from specutils import Spectrum
from specutils.manipulation import (
    FluxConservingResampler,
    LinearInterpolatedResampler,
    SplineInterpolatedResampler,
    box_smooth,
)

logging.disable(logging.INFO)
warnings.simplefilter("error")
warnings.filterwarnings("ignore", category=DeprecationWarning)

flux = numpy.array([1.0, 1, 1, 500, 1, 1, 1, 1])
galaxy = Spectrum(
    flux=flux * u.Jy,
    spectral_axis=numpy.arange(5000.0, 5008) * u.AA,
    mask=flux > 100,
    redshift=0.1,
    meta={"object": "M31"},
)
grid = numpy.arange(5000.0, 5008, 2) * u.AA
found = {
    "as made": galaxy,
    "slice": galaxy[:6],
    "twice": galaxy * 2,
    "box_smooth": box_smooth(galaxy, 3),
    "FluxConservingResampler": FluxConservingResampler()(galaxy, grid),
    "LinearInterpolatedResampler": LinearInterpolatedResampler()(galaxy, grid),
    "SplineInterpolatedResampler": SplineInterpolatedResampler()(galaxy, grid),
}
kept, lost = [], []
for way, spectrum in found.items():
    rest = copy.deepcopy(spectrum)
    rest.shift_spectrum_to(redshift=0)
    start = rest.spectral_axis[0].to_value(u.AA)
    name = spectrum.meta.get("object")
    print(f"{way}: redshift {spectrum.redshift:.1f}, at rest from {start:.0f}, mask {spectrum.mask}, object {name}")
    if abs(spectrum.redshift - 0.1) < 1e-9 and round(start) == 4545 and spectrum.mask is not None:
        kept.append(way)
    elif spectrum.redshift == 0 and round(start) == 5000 and spectrum.mask is None and not spectrum.meta:
        lost.append(way)
spread = found["FluxConservingResampler"].flux.value.tolist()
print("flux of FluxConservingResampler:", spread)
is_as_seen = kept == list(found)[:4] and lost == list(found)[4:] and spread == [1.0, 125.75, 125.75, 1.0]
if not is_as_seen:
    print("CHANGED")
sys.exit(not is_as_seen)
P
cd "$dir" && "$dir/env/bin/python" galaxy.py
