#!/usr/bin/env bash
# Packages: ndcube 2.4.2, astropy 8.0.2 with numpy 2.4.6.
# Behaviour: cube.rebin(bins, propagate_uncertainties=True) of a cube with a mask gives the right bins, and writes into
#   the cube that it was called of: the first pixel of each bin is 0 afterwards if it was good, so that a mean, a plot or
#   a second rebin of the same cube is of other numbers. It happens with bins along one axis, (1, 2) or (3, 1), and not
#   with (3, 2); not without a mask, and not without propagate_uncertainties. A mask without a single masked pixel is
#   enough. The array that the cube was made of is changed with it, the uncertainties are not. Nothing raises or warns,
#   and the docstring speaks of a new cube only. An NDCollection can be neither pickled nor copied: "does not support
#   __setitem__. Use NDCollection.update instead".
# Seen 2026-12-02: counts of 1 to 12 without a masked pixel, bins (1, 2): mean 6.5 before, 3.5 after, the first row
#   0, 2, 0, 4; the second rebin is 1, 2 in its first row where the first was 1.5, 3.5.
# Fails (exit 1) when the cube is as it was after rebin, or an NDCollection can be pickled.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/env"; "$dir/env/bin/pip" install -q --no-compile --disable-pip-version-check --only-binary=:all: ndcube==2.4.2 astropy==8.0.2 numpy==2.4.6
cat > "$dir/bins.py" <<'P'
import copy
import pickle
import sys
import warnings

import numpy
from astropy.nddata import StdDevUncertainty
from astropy.wcs import WCS
from ndcube import NDCollection, NDCube

warnings.simplefilter("error")
warnings.filterwarnings("ignore", category=DeprecationWarning)

axes = WCS(naxis=2)
axes.wcs.ctype = ["WAVE", "TIME"]
axes.wcs.cunit = ["nm", "s"]
axes.wcs.cdelt = [1, 1]
axes.wcs.crpix = [1, 1]
axes.wcs.crval = [10, 0]
axes.wcs.set()


def cube(mask):
    counts = numpy.arange(1.0, 13).reshape(3, 4)
    return NDCube(counts, wcs=axes, mask=mask, uncertainty=StdDevUncertainty(numpy.ones(counts.shape)))


def changed(mask, bins, **how):
    spectra = cube(mask)
    before = copy.deepcopy(spectra)
    spectra.rebin(bins, **how)
    data, errors = spectra.data != before.data, spectra.uncertainty.array != before.uncertainty.array
    return int(data.sum()), int(errors.sum())


all_good = numpy.zeros((3, 4), dtype=bool)
one_bad = all_good.copy()
one_bad[1, 1] = True

spectra = cube(all_good)
print("mean", spectra.data.mean(), "first row", spectra.data[0])
first = spectra.rebin((1, 2), propagate_uncertainties=True)
after = spectra.data.copy()
second = spectra.rebin((1, 2), propagate_uncertainties=True)
print("after rebin: mean", after.mean(), "first row", after[0])
print("first row of bins:", first.data[0], "and of a second call:", second.data[0])

found = {
    "no mask": changed(None, (1, 2), propagate_uncertainties=True),
    "no uncertainties": changed(one_bad, (1, 2)),
    "bins (1, 2)": changed(one_bad, (1, 2), propagate_uncertainties=True),
    "bins (3, 1)": changed(one_bad, (3, 1), propagate_uncertainties=True),
    "bins (3, 2)": changed(one_bad, (3, 2), propagate_uncertainties=True),
}
for name, numbers in found.items():
    print(f"{name:17} data changed: {numbers[0]}, uncertainties changed: {numbers[1]}")

collection = NDCollection([("a", cube(None)), ("b", cube(None))], aligned_axes="all")
failures = []
for name, duplicate in (("pickle", lambda item: pickle.loads(pickle.dumps(item))), ("copy", copy.copy)):
    try:
        duplicate(collection)
    except NotImplementedError as error:
        print(f"{name} of an NDCollection:", error)
        failures.append(name)
is_as_seen = (
    after[0].tolist() == [0, 2, 0, 4]
    and after.mean() == 3.5
    and first.data[0].tolist() == [1.5, 3.5]
    and second.data[0].tolist() == [1, 2]
    and found["no mask"] == found["no uncertainties"] == found["bins (3, 2)"] == (0, 0)
    and found["bins (1, 2)"] == (6, 0)
    and found["bins (3, 1)"] == (4, 0)
    and failures == ["pickle", "copy"]
)
if not is_as_seen:
    print("CHANGED")
sys.exit(not is_as_seen)
P
"$dir/env/bin/python" "$dir/bins.py"
