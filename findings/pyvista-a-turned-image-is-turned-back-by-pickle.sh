#!/usr/bin/env bash
# Packages: pyvista 0.49.2, vtk 9.7.2 with numpy 2.4.6.
# Behaviour: an ImageData has origin, spacing and direction, as scans of DICOM and NIfTI do.  Pickle, copy.copy and
#   copy.deepcopy set the direction to the unit matrix, alone or in a MultiBlock: the values stay, and each is at
#   another point of the patient, left for right.  The default pickle format "vtk" is VTK's own marshalling, so plain
#   vtkImageData do the same; to save a legacy .vtk file with a direction is an error, and pickle does it without a word.
#   image.copy(), .vti files and pyvista.set_pickle_format("xml") keep it.  The docstrings do not mention it.
# Seen 2026-12-01: an image turned by diag(-1, -1, 1) over x from -2 to 0 lies from 0 to 2 after pickle and deepcopy.
# Fails (exit 1) when pickle keeps the direction.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/env"; "$dir/env/bin/pip" install -q --disable-pip-version-check --only-binary=:all: pyvista==0.49.2 vtk==9.7.2 numpy==2.4.6
cat > "$dir/images.py" <<'P'
import copy
import pickle
import sys
import warnings

import numpy
import pyvista
import vtkmodules.util.pickle_support  # registers pickle for the classes of VTK
from vtkmodules.vtkCommonDataModel import vtkImageData

warnings.simplefilter("error")


def pickled(value):
    return pickle.loads(pickle.dumps(value))


def in_xml(value):
    pyvista.set_pickle_format("xml")
    try:
        return pickled(value)
    finally:
        pyvista.set_pickle_format("vtk")


def in_a_file(value):
    value.save("scan.vti")
    return pyvista.read("scan.vti")


scan = pyvista.ImageData(dimensions=(3, 3, 2))
scan.direction_matrix = numpy.diag([-1.0, -1.0, 1.0])
scan.point_data["hounsfield"] = numpy.arange(18.0)
plain = vtkImageData()
plain.SetDimensions(3, 3, 2)
plain.SetDirectionMatrix((-1, 0, 0, 0, -1, 0, 0, 0, 1))

ways = {
    "the image": lambda value: value,
    "copy()": lambda value: value.copy(),
    ".vti": in_a_file,
    "pickle, xml": in_xml,
    "pickle": pickled,
    "copy.copy": copy.copy,
    "copy.deepcopy": copy.deepcopy,
    "MultiBlock": lambda value: pickled(pyvista.MultiBlock([value]))[0],
}
found = {}
for way, made in ways.items():
    other = made(scan)
    assert (other.point_data["hounsfield"] == scan.point_data["hounsfield"]).all()
    found[way] = tuple(other.bounds[:2])
    print(f"{way:14} x from {found[way][0]} to {found[way][1]}, value 0 and 2 at x = {other.points[[0, 2], 0].tolist()}")
there, back = plain.GetDirectionMatrix(), pickled(plain).GetDirectionMatrix()
print("plain VTK      direction", there.GetElement(0, 0), "->", back.GetElement(0, 0))
kept, lost = [way for way in found if found[way] == (-2, 0)], [way for way in found if found[way] == (0, 2)]
is_as_seen = (
    kept == ["the image", "copy()", ".vti", "pickle, xml"]
    and lost == ["pickle", "copy.copy", "copy.deepcopy", "MultiBlock"]
    and (there.GetElement(0, 0), back.GetElement(0, 0)) == (-1, 1)
)
if not is_as_seen:
    print("CHANGED")
sys.exit(not is_as_seen)
P
cd "$dir" && "$dir/env/bin/python" images.py
