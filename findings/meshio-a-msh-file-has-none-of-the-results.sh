#!/usr/bin/env bash
# Packages: meshio 5.3.5 with numpy 2.4.6, h5py 3.16.0.
# Behaviour: .msh is the suffix of Gmsh, and of ANSYS Fluent. meshio.write("part.msh", mesh) and mesh.write write the
#   latter, in which meshio puts points and cells and nothing else: what was computed at points and in cells is not in
#   the file. meshio.read tries both formats, so that a program which looks at the mesh finds all of it. Nothing
#   raises or warns; up to 5.2 the same call wrote Gmsh's format (its issue 1272 is closed). The formats .bdf, .inp,
#   .su2 and .cgns leave the data out as silently. file_format="gmsh", .vtu, .med and .xdmf keep them. The docstring
#   of write begins "Writes mesh together with data to a file."
# Seen 2026-12-02: temperatures of four points and the material of a cell: none by .msh, .bdf, .inp, .su2, .cgns.
# Fails (exit 1) when .msh keeps them.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/env"; "$dir/env/bin/pip" install -q --no-compile --disable-pip-version-check --only-binary=:all: meshio==5.3.5 h5py==3.16.0 numpy==2.4.6
cat > "$dir/part.py" <<'P'
import sys
import warnings

import meshio
import numpy

warnings.simplefilter("error")
mesh = meshio.Mesh(
    numpy.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]]),
    [("tetra", numpy.array([[0, 1, 2, 3]]))],
    point_data={"temperature": numpy.array([300.0, 310.0, 320.0, 330.0])},
    cell_data={"material": [numpy.array([7.0])]},
)


def read_back(name, **options):
    meshio.write(name, mesh, **options)
    other = meshio.read(name)
    if other.points.tolist() != mesh.points.tolist() or other.cells_dict["tetra"].tolist() != [[0, 1, 2, 3]]:
        return "another mesh"
    temperature, material = other.point_data.get("temperature"), other.cell_data.get("material")
    if temperature is None and material is None:
        return "the mesh and no data"
    is_whole = temperature.tolist() == [300, 310, 320, 330] and material[0].tolist() == [7]
    return "all" if is_whole else "other data"


suffixes = ("msh", "bdf", "inp", "su2", "cgns", "vtu", "med", "xdmf")
found = {f".{suffix}": read_back(f"part.{suffix}") for suffix in suffixes}
found['.msh, file_format="gmsh"'] = read_back("gmsh.msh", file_format="gmsh")
for name, what in found.items():
    print(f"{name}: {what}")
lost = [name for name, what in found.items() if what == "the mesh and no data"]
kept = [name for name, what in found.items() if what == "all"]
is_as_seen = ".msh" in lost and len(lost) == 5 and len(kept) == 4
if not is_as_seen:
    print("CHANGED")
sys.exit(not is_as_seen)
P
cd "$dir" && "$dir/env/bin/python" part.py
