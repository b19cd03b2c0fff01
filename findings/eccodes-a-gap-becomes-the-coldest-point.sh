#!/usr/bin/env bash
# Packages: eccodes 2.50.0 (with its library eccodeslib 2.50.0.33) with numpy 2.4.6.
# Behaviour: a missing point of a field is NaN in NumPy and xarray. codes_set_values of such a field writes the
#   field's smallest value there, with bitmapPresent = 1 as well, in GRIB 1 and 2, in simple, CCSDS, JPEG and
#   second-order packing: sea is 270 K where only the coldest land is, and numberOfMissing is 0. If the first point is
#   missing, all of it is an error, "Minimum value out of range: nan", so that a program works for one region and not
#   for another. Masked arrays of NumPy are written with what is under the mask. grid_ieee keeps NaN. What is missing
#   has to have the value missingValue, 9999 by default, and bitmapPresent has to be 1; without the latter 9999 is
#   written as a temperature. Nothing warns. The docstring says only that elements "need to be convertible to a
#   double".
# Seen 2026-12-02: 280, 285, nan, 290, 270, nan, 275, 300 -> 270 for both gaps; with 9999 and a bitmap two are
#   missing.
# Fails (exit 1) when gaps are missing, or refused.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/env"; "$dir/env/bin/pip" install -q --no-compile --disable-pip-version-check --only-binary=:all: eccodes==2.50.0 eccodeslib==2.50.0.33 numpy==2.4.6
cat > "$dir/gaps.py" <<'P'
import sys
import warnings

import eccodes
import numpy

warnings.simplefilter("error")


def written(values, sample="regular_ll_sfc_grib2", **keys):
    message = eccodes.codes_grib_new_from_samples(sample)
    for key, value in {"Ni": len(values), "Nj": 1, **keys}.items():
        eccodes.codes_set(message, key, value)
    eccodes.codes_set_values(message, values)
    other = eccodes.codes_new_from_message(eccodes.codes_get_message(message))
    return eccodes.codes_get_values(other).tolist(), eccodes.codes_get(other, "numberOfMissing")


nan = numpy.nan
land = numpy.array([280, 285, nan, 290, 270, nan, 275, 300])
filled = numpy.where(numpy.isnan(land), 9999, land)
masked = numpy.ma.masked_greater(numpy.where(numpy.isnan(land), 400, land), 350)
coldest = ([280, 285, 270, 290, 270, 270, 275, 300], 0)
found = {
    "NaN": (written(land), coldest),
    "NaN and a bitmap": (written(land, bitmapPresent=1), coldest),
    "NaN, GRIB 1": (written(land, "regular_ll_sfc_grib1", bitmapPresent=1), coldest),
    "a mask over 400 and a bitmap": (written(masked, bitmapPresent=1), (masked.data.tolist(), 0)),
    "9999": (written(filled), (filled.tolist(), 0)),
    "9999 and a bitmap": (written(filled, bitmapPresent=1), (filled.tolist(), 2)),
}
for packing in ("grid_ccsds", "grid_jpeg", "grid_second_order"):
    found[f"NaN, {packing}"] = (written(land, packingType=packing), coldest)
is_as_seen = True
for way, ((values, missing), expected) in found.items():
    print(f"{way}: {values}, {missing} missing")
    is_as_seen = is_as_seen and numpy.allclose(values, expected[0]) and missing == expected[1]

ieee, _ = written(land, packingType="grid_ieee")
print("NaN, grid_ieee:", ieee)
is_as_seen = is_as_seen and numpy.array_equal(ieee, land, equal_nan=True)
try:
    print("the first point is NaN:", written(numpy.append(nan, land)))
    is_as_seen = False
except eccodes.EncodingError as error:
    print("the first point is NaN:", type(error).__name__, error)
if not is_as_seen:
    print("CHANGED")
sys.exit(not is_as_seen)
P
cd "$dir" && "$dir/env/bin/python" gaps.py
