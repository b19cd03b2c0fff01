#!/usr/bin/env bash
# Packages: pymatgen-core 2026.10.16 with numpy 2.4.6.
# Behaviour: Molecule.copy() makes a molecule of the same atoms with charge 0 and the spin multiplicity that goes with it,
#   so the copy of hydroxide, OH-, is the OH radical: 9 electrons in place of 10, a doublet in place of a singlet; the
#   copy of triplet oxygen is singlet oxygen.  copy.copy, copy.deepcopy, pickle and as_dict keep both.  Its docstring says
#   only "Convenience method to get a copy of the molecule".  A Structure keeps its charge in copy(), and loses it on the
#   way through JSON or YAML text, to(fmt="json") and from_str, where the text has it.  Nothing is raised,
#   and no warning is about it.
# Seen 2026-12-01: OH- charge -1, 10 electrons, multiplicity 1 -> 0, 9, 2; O2 multiplicity 3 -> 1; a structure of charge 1
#   -> 0 by from_str, 1 by from_dict.
# Fails (exit 1) when the copy has the charge and multiplicity, and the structure the charge, of its original.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/env"; "$dir/env/bin/pip" install -q --no-compile --disable-pip-version-check --only-binary=:all: pymatgen-core==2026.10.16 numpy==2.4.6
cat > "$dir/ions.py" <<'P'
import copy
import json
import pickle
import sys
import warnings

from pymatgen.core import Lattice, Molecule, Structure

warnings.simplefilter("error")
warnings.filterwarnings("ignore", "Structure charge")  # of each such cell: that oxidation states do not add up to it


def state(molecule):
    return molecule.charge, molecule.nelectrons, molecule.spin_multiplicity


hydroxide = Molecule(["O", "H"], [[0, 0, 0], [0, 0, 0.96]], charge=-1)
oxygen = Molecule(["O", "O"], [[0, 0, 0], [0, 0, 1.21]], spin_multiplicity=3)
copies = {
    "copy.copy": copy.copy,
    "copy.deepcopy": copy.deepcopy,
    "pickle": lambda value: pickle.loads(pickle.dumps(value)),
    "as_dict": lambda value: Molecule.from_dict(value.as_dict()),
    "copy()": Molecule.copy,
}
for how, make in copies.items():
    found = state(make(hydroxide)), state(make(oxygen))
    print(f"{how:14} OH- {found[0]}, O2 {found[1]} (charge, electrons, multiplicity)")
    if how != "copy()":
        assert found == ((-1, 10, 1), (0, 16, 3)), how
is_as_seen = found == ((0, 9, 2), (0, 16, 1))

cell = Structure(Lattice.cubic(10), ["O", "H"], [[0, 0, 0], [0, 0, 0.096]], charge=1)
text = cell.to(fmt="json")
by_text, by_dict = Structure.from_str(text, fmt="json"), Structure.from_dict(json.loads(text))
print("structure of charge", cell.charge, "by from_str", by_text.charge, "by from_dict", by_dict.charge)
assert by_dict.charge == cell.copy().charge == 1
is_as_seen = is_as_seen and by_text.charge == 0
if not is_as_seen:
    print("CHANGED")
sys.exit(not is_as_seen)
P
"$dir/env/bin/python" "$dir/ions.py"
