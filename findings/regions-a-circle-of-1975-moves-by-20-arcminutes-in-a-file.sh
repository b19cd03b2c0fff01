#!/usr/bin/env bash
# Packages: regions 0.12, astropy 8.0.2 with numpy 2.4.6.
# Behaviour: a sky region has its own frame and equinox. Files for DS9 and CASA (CRTF) have "j2000" or "b1950" and no other
#   equinox: a circle of equinox J1975 is read 21 arcminutes away, that of the constellations' boundaries, B1875, more
#   than one degree. If all regions of a file are to be left out, meta["include"] being False or 0, that is a
#   "global include=0" for DS9, and all are read as regions to be included; in FITS they are still left out. Nothing
#   raises or warns. A new SkyCoord of the ICRS coordinates, SkyCoord(c.icrs.ra, c.icrs.dec), is right; c.icrs
#   itself keeps the equinox, which CRTF uses.
# Seen 2026-12-02: the centre of J1975 is 1257 arcsec away in both formats, that of B1875 3768 and 6282; include False
#   and 0: True by ds9, False by fits.
# Fails (exit 1) when a centre is where it was, or a region is still left out after ds9.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/env"; "$dir/env/bin/pip" install -q --no-compile --disable-pip-version-check --only-binary=:all: regions==0.12 astropy==8.0.2 numpy==2.4.6
cat > "$dir/circles.py" <<'P'
import sys
import warnings

import numpy as np
from astropy import units as u
from astropy.coordinates import SkyCoord
from regions import CirclePixelRegion, CircleSkyRegion, PixCoord, RegionMeta, Regions

warnings.simplefilter("error")


def written(region, kind):
    return Regions.parse(Regions([region]).serialize(format=kind), format=kind)[0]


def shift(center, kind):
    region = CircleSkyRegion(center, 1 * u.arcmin)
    return float(written(region, kind).center.icrs.separation(center.icrs).to_value("arcsec"))


centers = {
    "ICRS": SkyCoord(83.633, 22.014, unit="deg"),
    "J1975": SkyCoord(83.633, 22.014, unit="deg", frame="fk5", equinox="J1975"),
    "B1875": SkyCoord(83.633, 22.014, unit="deg", frame="fk4", equinox="B1875"),
}
shifts = {name: [shift(center, kind) for kind in ("ds9", "crtf")] for name, center in centers.items()}
for name, values in shifts.items():
    print(f"{name}: {values[0]:.2f} arcsec away by ds9, {values[1]:.2f} by crtf")
plain = SkyCoord(centers["J1975"].icrs.ra, centers["J1975"].icrs.dec)
icrs = [shift(plain, kind) for kind in ("ds9", "crtf")]
print("J1975 as a new SkyCoord of ICRS:", np.round(icrs, 2))
assert max(shifts["ICRS"] + icrs) < 0.01

answers = []
for value in (False, 0):
    left_out = CirclePixelRegion(PixCoord(10, 20), 3, meta=RegionMeta(include=value))
    answers.append([bool(written(left_out, kind).meta["include"]) for kind in ("ds9", "fits")])
    print(f"include {value!r}: after ds9 and fits {answers[-1]}")
is_as_seen = np.allclose(shifts["J1975"], 1257, rtol=0, atol=1) and min(shifts["B1875"]) > 3000
is_as_seen = is_as_seen and answers == [[True, False], [True, False]]
if not is_as_seen:
    print("CHANGED")
sys.exit(not is_as_seen)
P
"$dir/env/bin/python" "$dir/circles.py"
