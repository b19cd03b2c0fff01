#!/usr/bin/env bash
# Packages: soundfile 0.14.0 with numpy 2.4.6 (and the libsndfile of its wheel).
# Behaviour: soundfile.write and SoundFile.write take the bytes of a big-endian array, as FITS, netCDF 3, SAC
#   and RIFX files are read, for numbers of this machine. A sine of 0.9 is of up to 3e307 in a WAV of doubles, jumps
#   between -1, 0 and 1 in FLAC, and whole numbers of 16 bits are others. soundfile.read(out=array) and
#   SoundFile.read fill a big-endian array in the same way. Nothing raises or warns. The docstring names the types by
#   name only, "float64", "float32", "int32" and "int16"; the argument endian is the order in the file. Lists and
#   native arrays are right.
# Seen 2026-12-03: a sine of at most 0.9 -> 3.4e307 as float64, 2.3e37 as float32; 1000, -2000, 3000 of int16 -> -6141,
#   12536, -18421; 0.9, -0.9, 0.5 in FLAC -> -1, -1, 0.
# Fails (exit 1) when the samples are those that were written, or big-endian arrays are refused.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/env"; "$dir/env/bin/pip" install -q --no-compile --disable-pip-version-check --only-binary=:all: soundfile==0.14.0 numpy==2.4.6
cat > "$dir/samples.py" <<'P'
import sys
import warnings
import wave

import numpy as np
import soundfile

warnings.simplefilter("error")


def written(samples, name, subtype=None):
    soundfile.write(name, samples, 8000, subtype=subtype)
    return soundfile.read(name)[0]


sine = 0.9 * np.sin(2 * np.pi * 440 * np.arange(800) / 8000)
kinds = {"float64": "DOUBLE", "float32": "FLOAT"}
noise = {}
for dtype, subtype in kinds.items():
    native = sine.astype(dtype)
    big = native.astype(native.dtype.newbyteorder(">"))
    assert (big == native).all() and big.dtype.name == native.dtype.name
    noise[dtype] = written(big, "big.wav", subtype)
    assert np.array_equal(written(native, "native.wav", subtype), native)
    assert np.array_equal(written(big.tolist(), "list.wav", "DOUBLE"), native)
    print(f"sine of {dtype}, at most {native.max():.2f}; big-endian: at most {np.abs(noise[dtype]).max():.3g}")

flac = written(np.array([0.9, -0.9, 0.5], ">f8"), "big.flac")
print("0.9, -0.9, 0.5 in FLAC:", flac.tolist())
assert np.allclose(written(np.array([0.9, -0.9, 0.5]), "native.flac"), [0.9, -0.9, 0.5], atol=1e-4)

# What is in the file, read by the module wave of Python.
whole = np.array([1000, -2000, 3000], ">i2")
soundfile.write("whole.wav", whole, 8000, subtype="PCM_16")
with wave.open("whole.wav") as file:
    in_file = np.frombuffer(file.readframes(3), "<i2").tolist()
print("1000, -2000, 3000 of int16 in WAV:", in_file)
assert in_file == np.frombuffer(whole.tobytes(), "<i2").tolist()

soundfile.write("right.wav", np.array([0.5, -0.25, 0.125]), 8000, subtype="DOUBLE")
filled = np.zeros(3, ">f8")
soundfile.read("right.wav", out=filled)
print("0.5, -0.25, 0.125 read into a big-endian array:", filled.tolist())
converted = written(whole.astype(whole.dtype.newbyteorder("=")), "converted.wav", "PCM_16") * 32768
print("after astype with newbyteorder('='):", converted.tolist())

is_as_seen = (
    np.abs(noise["float64"]).max() > 1e60
    and np.abs(noise["float32"]).max() > 1e20
    and flac.tolist() == [-1.0, -1.0, 0.0]
    and in_file == [-6141, 12536, -18421]
    and np.abs(filled).max() < 1e-300
    and converted.tolist() == [1000.0, -2000.0, 3000.0]
)
if not is_as_seen:
    print("CHANGED")
sys.exit(not is_as_seen)
P
cd "$dir" && "$dir/env/bin/python" samples.py
