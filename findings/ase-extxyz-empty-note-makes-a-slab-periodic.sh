#!/usr/bin/env bash
# Packages: ase 3.29.0 with numpy 2.4.6.
# Behaviour: extended XYZ is ASE's own format for structures with notes (atoms.info). An empty string in info is written
#   as `comment= pbc="T T F"`, and the reader takes what follows the blank for its value: the note becomes 'pbc=T T F',
#   and the periodicity is gone, so a slab that is periodic in x and y comes back periodic in x, y and z. If another note
#   stands between, that one is lost instead (run=7 becomes the value of comment). An empty NumPy array does the same.
#   Texts come back as what they look like: '007' as 7, '1_000' as 1000, 'T' as True, '2020' as 2020, and None as True.
#   Nothing raises, nothing warns. ASE's .traj keeps all of it as it was; its .json keeps the slab but none of info.
# Seen 2026-11-29: pbc [True, True, False] -> [True, True, True], info {'comment': ''} -> {'comment': 'pbc=T T F'};
#   {'comment': '', 'run': 7} -> {'comment': 'run=7'}; from .traj as written, from .json info is {}.
# Fails (exit 1) when the slab keeps its periodicity or the texts come back as texts.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/env"; "$dir/env/bin/pip" install -q --disable-pip-version-check --only-binary=:all: ase==3.29.0 numpy==2.4.6
cat > "$dir/notes.py" <<'P'
import sys
import warnings

import numpy
from ase.build import fcc111
from ase.io import read, write

warnings.simplefilter("error")

def there_and_back(info, name="slab.xyz"):
    slab = fcc111("Cu", (1, 1, 3), vacuum=8.0)
    slab.info = info
    write(name, slab)
    back = read(name)
    print(f"{name}: {slab.pbc.tolist()} {info} -> {back.pbc.tolist()} {back.info}")
    return back.pbc.tolist(), back.info

slab, solid = [True, True, False], [True, True, True]
same = [
    there_and_back({"comment": "clean"}) == (slab, {"comment": "clean"}),
    there_and_back({"comment": ""}) == (solid, {"comment": "pbc=T T F"}),
    there_and_back({"run": 7, "comment": ""}) == (solid, {"run": 7, "comment": "pbc=T T F"}),
    there_and_back({"comment": "", "run": 7}) == (slab, {"comment": "run=7"}),
    there_and_back({"weights": numpy.array([])}) == (solid, {"weights": "pbc=T T F"}),
    there_and_back({"sample": "007", "batch": "1_000", "site": "T", "note": None})
    == (slab, {"sample": 7, "batch": 1000, "site": True, "note": True}),
    there_and_back({"comment": "", "sample": "007", "site": "T"}, "slab.traj")
    == (slab, {"comment": "", "sample": "007", "site": "T"}),
    there_and_back({"comment": "", "sample": "007", "site": "T"}, "slab.json") == (slab, {}),
]
sys.exit(not all(same))
P
cd "$dir" && "$dir/env/bin/python" notes.py || { echo "CHANGED"; exit 1; }
