#!/usr/bin/env bash
# Packages: jcamp 1.3.2, rosettasciio 0.15.0 (which HyperSpy saves .msa files with), numpy 2.4.6.
# Behaviour: two writers of spectra as text keep a fixed number of decimals, whatever the size of the numbers.
#   jcamp.writefile and jcamp.write give intensities four decimals and x six: an absorbance of 4e-5 is 0, 0.00123 is
#   0.0012, and x in metres, 4e-7 m and the like, are 0. rsciio.msa.file_writer gives intensities six decimals: a
#   current of 2e-12 A is 0. Both read 0 back. Nothing raises or warns, and neither docstring tells of decimals. A
#   "yfactor" of the data, which JCAMP-DX is meant to have, is obeyed by jcamp when it is given, and is 1 by default.
#   format="XY" of rsciio.msa keeps six digits of each.
# Seen 2026-12-03: JCAMP-DX: absorbances 4e-5, 1.23e-3, 0.123456 -> 0, 0.0012, 0.1235; x of 4e-7 to 4.2e-7 m -> 0, 0, 0.
#   MSA: 2e-12, 3.5e-7, 1.23456789 -> 0, 0, 1.234568.
# Fails (exit 1) when the numbers are kept.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/env"; "$dir/env/bin/pip" install -q --no-compile --disable-pip-version-check --only-binary=:all: jcamp==1.3.2 rosettasciio==0.15.0 numpy==2.4.6
cat > "$dir/spectra.py" <<'P'
import contextlib
import io
import sys
import warnings

import jcamp
import numpy as np
from rsciio.msa import file_reader, file_writer

warnings.simplefilter("error")
warnings.simplefilter("ignore", ResourceWarning)  # files that jcamp and rsciio leave open


def by_jcamp(x, y, **more):
    with contextlib.redirect_stdout(io.StringIO()):  # jcamp 1.3.2 prints each line that it makes
        jcamp.writefile("spectrum.jdx", {"title": "film", "x": x, "y": y, **more})
    read = jcamp.readfile("spectrum.jdx")
    return read["x"].tolist(), read["y"].tolist()


def by_msa(y, form):
    axis = {"size": len(y), "offset": 100.0, "scale": 0.5, "units": "eV", "name": "Energy", "navigate": False}
    signal = {
        "data": y,
        "axes": [{**axis, "index_in_array": 0}],
        "metadata": {"General": {"title": "film"}, "Signal": {"signal_type": "EELS"}},
        "original_metadata": {},
    }
    file_writer("spectrum.msa", signal, format=form)
    return file_reader("spectrum.msa")[0]["data"].tolist()


wavenumber, absorbance = np.array([1000.0, 1001.0, 1002.0]), np.array([4e-5, 1.23e-3, 0.123456])
found = by_jcamp(wavenumber, absorbance)[1]
print("JCAMP-DX, absorbance:", absorbance.tolist(), "->", found)
wavelength = np.array([4e-7, 4.1e-7, 4.2e-7])
found_x = by_jcamp(wavelength, absorbance)[0]
print("JCAMP-DX, x in metres:", wavelength.tolist(), "->", found_x)
scaled = by_jcamp(wavenumber, absorbance, yfactor=1e-9)[1]
print("JCAMP-DX with yfactor 1e-9:", scaled)
assert np.allclose(scaled, absorbance, rtol=1e-9, atol=0)

current = np.array([2e-12, 3.5e-7, 1.23456789])
found_msa = by_msa(current, "Y")
print("MSA:", current.tolist(), "->", found_msa)
by_xy = by_msa(current, "XY")
print("MSA with format='XY':", by_xy)
assert np.allclose(by_xy, current, rtol=1e-5, atol=0)

# The numbers are lost in the files, not by the readers.
with open("spectrum.jdx") as file:
    assert "40000.0000" in file.read()
by_msa(current, "Y")
with open("spectrum.msa") as file:
    assert [line.rstrip(", \n") for line in file if line[0].isdigit()] == ["0.000000", "0.000000", "1.234568"]

is_as_seen = found == [0.0, 0.0012, 0.1235] and found_x == [0.0] * 3 and found_msa == [0.0, 0.0, 1.234568]
if not is_as_seen:
    print("CHANGED")
sys.exit(not is_as_seen)
P
cd "$dir" && "$dir/env/bin/python" spectra.py
