#!/usr/bin/env bash
# Packages: sunpy 7.0.5, astropy 8.0.2, reproject 0.21.0 with numpy 2.4.6.
# Behaviour: a Map has a mask for pixels that are saturated, off the disk or hit by a particle. What is computed of it
#   has none: 2 * map, map + q, map / q, -map, rotate, resample and reproject_to give a Map whose mask is None, as is
#   that of a Map whose pixels are all good. The values of the masked pixels are still there, so a mean has them. The
#   uncertainty is gone as well, also by submap and superpixel, which keep the mask, as pickle and deepcopy do.
#   Nothing raises or warns. The docstrings of the methods do not mention the mask.
# Seen 2026-12-02: fifteen pixels of 1 and a masked one of 65535: mean 1.0; of map * 2 with its mask 8193.75.
# Fails (exit 1) when a product has the mask.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/env"; "$dir/env/bin/pip" install -q --no-compile --disable-pip-version-check --only-binary=:all: "sunpy[map]==7.0.5" astropy==8.0.2 reproject==0.21.0 numpy==2.4.6
cat > "$dir/sun.py" <<'P'
import copy
import logging
import pickle
import sys
import warnings

import astropy.units as u
import numpy
from astropy.nddata import StdDevUncertainty
from sunpy.map import GenericMap

logging.disable(logging.INFO)
warnings.simplefilter("error")
warnings.filterwarnings("ignore", category=DeprecationWarning)

header = {
    "cdelt1": 2, "cdelt2": 2, "crpix1": 2.5, "crpix2": 2.5, "crval1": 0, "crval2": 0,
    "cunit1": "arcsec", "cunit2": "arcsec", "ctype1": "HPLN-TAN", "ctype2": "HPLT-TAN",
    "date-obs": "2026-01-01T00:00:00", "hgln_obs": 0, "hglt_obs": 0, "dsun_obs": 1.5e11, "rsun_ref": 6.96e8, "bunit": "DN",
}  # fmt: skip
data = numpy.ones((4, 4))
data[0, 0] = 65535  # saturated
sun = GenericMap(data, header, mask=data > 65000, uncertainty=StdDevUncertainty(numpy.ones((4, 4))))

ways = {
    "map": lambda sun: sun,
    "pickle": lambda sun: pickle.loads(pickle.dumps(sun)),
    "deepcopy": copy.deepcopy,
    "submap": lambda sun: sun.submap([0, 0] * u.pix, top_right=[3, 3] * u.pix),
    "map * 2": lambda sun: sun * 2,
    "map + 1 DN": lambda sun: sun + 1 * u.DN,
    "-map": lambda sun: -sun,
    "rotate": lambda sun: sun.rotate(90 * u.deg),
    "resample": lambda sun: sun.resample([4, 4] * u.pix),
    "reproject_to": lambda sun: sun.reproject_to(sun.wcs),
}
masked, uncertain = [], []
for way, computed in ways.items():
    other = computed(sun)
    good = numpy.ma.array(other.data, mask=False if other.mask is None else other.mask)
    has_mask, has_uncertainty = other.mask is not None, other.uncertainty is not None
    print(f"{way:12} has a mask: {has_mask!s:5}  an uncertainty: {has_uncertainty!s:5}  mean {good.mean()}")
    masked += [way] if has_mask else []
    uncertain += [way] if has_uncertainty else []
is_as_seen = masked == ["map", "pickle", "deepcopy", "submap"] and uncertain == ["map", "pickle", "deepcopy"]
if not is_as_seen:
    print("CHANGED")
sys.exit(not is_as_seen)
P
cd "$dir" && "$dir/env/bin/python" sun.py
