#!/usr/bin/env bash
# Packages: obspy 1.5.1, vtk 9.7.2, pyvista 0.49.1 with numpy 2.4.6.
# Behaviour: an array in big-endian byte order, as big-endian SAC files, FITS and NetCDF 3 give it, is read as if its
#   bytes were in the machine's order.  Trace.resample of ObsPy views the samples under the native type, where its
#   comment says that it makes them native (core/trace.py); numpy_to_vtk of VTK hands the memory over as it lies, and so
#   does PolyData of PyVista.  A trace of some tens has nan or 1e36 after resample.  Nothing raises or warns.
#   Trace.decimate is right, and so is resample after Trace.newbyteorder().  What pickle does depends on its protocol: 4
#   makes the array native, 5 keeps it as it is, so the same trace is right or wrong by how it came.
# Seen 2026-12-01, 200 samples up to 50: read from SAC written with byteorder=">" (type >f4), the trace is nan after
#   resample; with "<" it is up to 50.  VTK and PyVista make 0, 4.6e-41, 9.0e-44 of 0, 1, 2.
# Fails (exit 1) when one of them converts the numbers, or refuses them.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/env"; "$dir/env/bin/pip" install -q --disable-pip-version-check --only-binary=:all: obspy==1.5.1 vtk==9.7.2 pyvista==0.49.1 numpy==2.4.6
cat > "$dir/orders.py" <<'P'
import pickle
import sys

import numpy
import obspy
import pyvista
from vtk.util.numpy_support import numpy_to_vtk, vtk_to_numpy

signal = (50 * numpy.sin(numpy.arange(200) / 20)).astype("f4")
same = []


def resampled(name, trace, is_right):
    trace = trace.copy()
    order = trace.data.dtype.str
    trace.resample(50.0)
    largest = abs(trace.data).max()
    print(f"{name:32} {order} largest sample of the trace resampled {largest:.3g}")
    same.append((largest < 100) == is_right)


for order in "<>":
    obspy.Trace(signal, {"sampling_rate": 100.0}).write("a.sac", "SAC", byteorder=order)
    trace = obspy.read("a.sac")[0]
    assert (trace.data == signal).all()
    resampled(f"SAC with byteorder {order}", trace, order == "<")
for protocol in (4, 5):
    resampled(f"  by pickle of protocol {protocol}", pickle.loads(pickle.dumps(trace, protocol)), protocol == 4)
resampled("  after newbyteorder()", trace.copy().newbyteorder(), True)
same.append(abs(trace.copy().decimate(2).data).max() < 100)

foreign = numpy.arange(3).astype(">f4")
for name, values in (
    ("numpy_to_vtk", vtk_to_numpy(numpy_to_vtk(foreign, deep=True))),
    ("PolyData of PyVista", pyvista.PolyData(foreign.reshape(1, 3)).points[0]),
):
    print(f"{name}: {foreign.tolist()} -> {values.tolist()}")
    same.append(not numpy.allclose(values, foreign, atol=1e-9))
sys.exit(not all(same))
P
cd "$dir" && PYTHONWARNINGS=ignore "$dir/env/bin/python" orders.py || { echo "CHANGED"; exit 1; }
