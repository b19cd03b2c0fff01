#!/usr/bin/env bash
# Packages: pydicom 3.0.2 with numpy 2.4.6.
# Behaviour: Dataset.set_pixel_data(array, …) puts the bytes of the array into Pixel Data of a little-endian transfer
#   syntax. An array that is big-endian, as FITS files, netCDF 3 files and 16-bit PGM give it, is written with the two
#   bytes of each pixel exchanged: 1 is 256, and 1000 is 59395, of which pixel_array gives the 12 bits that are
#   stored, 2051. It is the same with signed pixels. Nothing raises or warns. The docstring says that the array is of
#   "uint8, uint16, int8 or int16", and that a dataset with a big-endian transfer syntax is refused, which this is
#   not. Dataset.compress(…, array) of the same array is right.
# Seen 2026-12-03: 1, 1000, 4095 in 12 bits -> 256, 2051, 3855; -2, 300 -> -257, 11265.
# Fails (exit 1) when the pixels are those of the array, or such an array is refused.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/env"; "$dir/env/bin/pip" install -q --no-compile --disable-pip-version-check --only-binary=:all: pydicom==3.0.2 numpy==2.4.6
cat > "$dir/image.py" <<'P'
import sys
import warnings

import numpy as np
import pydicom
from pydicom.uid import ExplicitVRLittleEndian, RLELossless, SecondaryCaptureImageStorage

warnings.simplefilter("error")


def dataset():
    made = pydicom.Dataset()
    made.file_meta = pydicom.dataset.FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.SOPClassUID = SecondaryCaptureImageStorage
    return made


def by_file(array, bits):
    made = dataset()
    made.set_pixel_data(array, "MONOCHROME2", bits)
    made.save_as("image.dcm", enforce_file_format=True)
    read = pydicom.dcmread("image.dcm")
    assert read.BitsStored == bits
    # The file by hand: unsigned or signed, little-endian.
    assert read.PixelData == array.tobytes()
    return read.pixel_array.ravel().tolist(), read.PixelRepresentation


counts, heights = np.array([[1, 1000, 4095]]), np.array([[-2, 300]])
found = {}
for name, values, bits in (("uint16", counts, 12), ("int16", heights, 16)):
    native = values.astype(name)
    big = native.astype(native.dtype.newbyteorder(">"))
    assert (big == native).all() and big.dtype.name == native.dtype.name
    right, right_sign = by_file(native, bits)
    found[name], sign = by_file(big, bits)
    print(f"{native.ravel().tolist()} of {name}, {bits} bits stored: big-endian -> {found[name]}, native -> {right}")
    assert right == native.ravel().tolist() and sign == right_sign
    assert by_file(big.astype(name), bits)[0] == right

compressed = dataset()
compressed.set_pixel_data(counts.astype("uint16"), "MONOCHROME2", 12)
compressed.compress(RLELossless, counts.astype(">u2"))
compressed.save_as("image.dcm", enforce_file_format=True)
by_compress = pydicom.dcmread("image.dcm").pixel_array.ravel().tolist()
print("big-endian, by compress:", by_compress)
assert by_compress == counts.ravel().tolist()

is_as_seen = found == {"uint16": [256, 2051, 3855], "int16": [-257, 11265]}
if not is_as_seen:
    print("CHANGED")
sys.exit(not is_as_seen)
P
cd "$dir" && "$dir/env/bin/python" image.py
