#!/usr/bin/env bash
# Packages: spectral 0.24 with numpy 2.4.6.
# Behaviour: many images of satellites and aircraft in ENVI files have whole numbers and, in the header, "reflectance
#   scale factor" 10000. SPy divides by it when it reads. envi.save_image of what was read or computed, with the
#   metadata of the source ("e.g., parameters extracted from a source image", its docstring says), writes the
#   reflectances as they are, and the factor into the header: whoever reads the new file divides again, so that 0.4 is
#   0.00004, and after the next step 4e-09. Nothing raises or warns. The file object itself can be given in place of
#   the numbers, and keeps both. The image that load() gives comes back from pickle and copy.deepcopy as a plain array,
#   without the wavelengths and the metadata.
# Seen 2026-12-02: 0.4, 4e-05 and 4e-09 in the files of three steps; pickle: ndarray, copy.copy: no wavelengths.
# Fails (exit 1) when the second file has 0.4, or pickle keeps the wavelengths.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/env"; "$dir/env/bin/pip" install -q --no-compile --disable-pip-version-check --only-binary=:all: spectral==0.24 numpy==2.4.6
cat > "$dir/steps.py" <<'P'
import copy
import pickle
import sys
import warnings

import numpy as np
from spectral.io import envi

warnings.simplefilter("error")
header = {"wavelength": [450, 550], "reflectance scale factor": 10000}
envi.save_image("0.hdr", np.full((2, 3, 2), 4000, dtype="int16"), metadata=header)
values = []
for step in range(3):
    source = envi.open(f"{step}.hdr")
    image = source.load()
    values.append(float(image[0, 0, 0]))
    envi.save_image(f"{step + 1}.hdr", image, metadata=source.metadata)
print("reflectance in the file of each step:", values)

source = envi.open("0.hdr")
envi.save_image("kept.hdr", source)
kept = float(envi.open("kept.hdr").load()[0, 0, 0])
print("by save_image of the file object:", kept)
assert np.isclose(kept, 0.4)

image = source.load()
assert image.bands.centers == [450, 550]
copies = {
    "pickle": pickle.loads(pickle.dumps(image, 5)),
    "deepcopy": copy.deepcopy(image),
    "copy": copy.copy(image),
}
for name, copied in copies.items():
    assert np.array_equal(copied, image)
    print(f"{name}: {type(copied).__name__}, has bands: {hasattr(copied, 'bands')}")
is_as_seen = np.allclose(values, [0.4, 4e-5, 4e-9], rtol=1e-6, atol=0)
is_as_seen = is_as_seen and not any(hasattr(copied, "bands") for copied in copies.values())
if not is_as_seen:
    print("CHANGED")
sys.exit(not is_as_seen)
P
cd "$dir" && "$dir/env/bin/python" steps.py
