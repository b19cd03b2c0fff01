#!/usr/bin/env bash
# Packages: nmrglue 0.12, scipy 1.17.1 with numpy 2.4.6.
# Behaviour: ng.bruker.write writes 32-bit integers, unless the dictionary has DTYPA = 2 or isfloat=True is given. A
#   signal that was scaled, normalized or simulated has fractions: each value is cut toward 0, so that a signal of at
#   most 1 is 0 in the file but for its first point, and of a weak one a digit or two are left. converter.to_bruker
#   makes a dictionary without DTYPA for float data as well. Nothing raises or warns, but NumPy does at values above
#   2**31. With isfloat=True, or dic["acqus"]["DTYPA"] = 2, all is kept, as it is by files of NMRPipe. The docstring
#   says that isfloat is "True for float64, False for int32".
# Seen 2026-12-02: a decaying signal of 256 points from 1.0: one point of 1, the others 0; with isfloat=True as it
#   was.
# Fails (exit 1) when fractions are kept, or refused.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/env"; "$dir/env/bin/pip" install -q --no-compile --disable-pip-version-check --only-binary=:all: nmrglue==0.12 scipy==1.17.1 numpy==2.4.6
cat > "$dir/decay.py" <<'P'
import sys
import warnings

import nmrglue
import numpy

warnings.simplefilter("error")
size = 256
axis = nmrglue.fileiobase.create_blank_udic(1)
axis[0].update(size=size, complex=True, encoding="direct", sw=1000.0, obs=400.0, car=0.0, label="1H")
axis[0].update(time=True, freq=False)
points = numpy.arange(size)
signal = numpy.exp((0.3j - 0.01) * points)


def dictionary():
    converter = nmrglue.convert.converter()
    converter.from_universal(axis, signal)
    return converter.to_bruker()


def by_bruker(values, acqus={}, **options):
    dic, _ = dictionary()
    dic["acqus"].update(acqus)
    nmrglue.bruker.write("run", dic, values, overwrite=True, **options)
    _, other = nmrglue.bruker.read("run", isfloat=options.get("isfloat"))
    return other


dic, data = dictionary()
print("to_bruker:", data.dtype, "DTYPA", dic["acqus"].get("DTYPA"))
cut = by_bruker(signal)
print("from", signal[:3], "to", cut[:3], "points that are not 0:", numpy.count_nonzero(cut))
tenfold = by_bruker(10 * signal)
print("from", 10 * signal[:3], "to", tenfold[:3])
as_float = by_bruker(signal, isfloat=True)
by_type = by_bruker(signal, {"DTYPA": 2})
print("isfloat=True and DTYPA = 2 keep all:", numpy.array_equal(as_float, signal), numpy.array_equal(by_type, signal))

converter = nmrglue.convert.converter()
converter.from_universal(axis, signal)
nmrglue.pipe.write("run.fid", *converter.to_pipe(), overwrite=True)
_, other = nmrglue.pipe.read("run.fid")
print("pipe keeps it:", numpy.allclose(other, signal, atol=1e-6))
is_as_seen = (
    numpy.count_nonzero(cut) == 1
    and numpy.array_equal(tenfold, numpy.trunc(10 * signal.real) + 1j * numpy.trunc(10 * signal.imag))
    and numpy.array_equal(as_float, signal)
    and numpy.array_equal(by_type, signal)
    and numpy.allclose(other, signal, atol=1e-6)
)
if not is_as_seen:
    print("CHANGED")
sys.exit(not is_as_seen)
P
cd "$dir" && "$dir/env/bin/python" decay.py
