#!/usr/bin/env bash
# Packages: astropy 8.0.2, scikit-image 0.26.0, biopython 1.88, networkx 3.6.1, with numpy 2.4.6.
# Behaviour: what these libraries hand out one by one when their containers are iterated holds on to the container, and
#   pickle takes that along: one Row of an astropy Table, one region of skimage.measure.regionprops (with the label image
#   and the intensity image, even after its properties were read), one residue of a Bio.PDB structure, a subgraph of
#   three nodes of a networkx graph. To send each of n parts costs n times the whole. A slice of one row (table[i:i+1]),
#   a residue's or a subgraph's .copy(), and region.image and the like are as small as they look.
# Seen 2026-11-29, bytes of the part / of the small form: Row 1600429 / 359, region 16001691 / 229, residue 164244 / 1043,
#   subgraph 2776114 / 155.
# Fails (exit 1) when one of the four is pickled in less than a tenth of its container.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/env"; "$dir/env/bin/pip" install -q --disable-pip-version-check --only-binary=:all: astropy==8.0.2 scikit-image==0.26.0 biopython==1.88 networkx==3.6.1 numpy==2.4.6
cat > "$dir/parts.py" <<'P'
import pickle
import sys

import networkx
import numpy
from astropy.table import Table
from Bio.PDB.StructureBuilder import StructureBuilder
from skimage.measure import regionprops

def size(value):
    return len(pickle.dumps(value, 5))

table = Table({"id": numpy.arange(100_000), "flux": numpy.zeros(100_000)})

image = numpy.zeros((1000, 1000), int)
image[:10, :10], image[50:60, 50:60] = 1, 2
region = regionprops(image, intensity_image=image * 1.5)[0]
assert region.area == 100 and region.intensity_mean == 1.5

builder = StructureBuilder()
builder.init_structure("one")
builder.init_model(0)
builder.init_chain("A")
builder.init_seg(" ")
for number in range(250):
    builder.init_residue("ALA", " ", number, " ")
    for name in ("N", "CA", "C"):
        builder.init_atom(name, numpy.zeros(3, "f4"), 1.0, 1.0, " ", name, None, name[0])
structure = builder.get_structure()
residue = structure[0]["A"][5]

graph = networkx.path_graph(100_000)
three = graph.subgraph([1, 2, 3])

found = {
    "astropy Row": (size(table), size(table[3]), size(table[3:4])),
    "skimage region": (size(image), size(region), size(region.image)),
    "Bio.PDB residue": (size(structure), size(residue), size(residue.copy())),
    "networkx subgraph": (size(graph), size(three), size(three.copy())),
}
for name, (whole, part, small) in found.items():
    print(f"{name}: the whole {whole} bytes, the part {part}, its small form {small}")
sys.exit(any(part < whole / 10 or small > whole / 10 for whole, part, small in found.values()))
P
"$dir/env/bin/python" "$dir/parts.py" || { echo "CHANGED"; exit 1; }
