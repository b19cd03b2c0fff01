#!/usr/bin/env bash
# Packages: numpy 2.4.6, astropy 8.0.2, rdkit 2026.9.1, SimpleITK 2.5.7.
# Behaviour: the two ways to copy an object do not give the same copy, and which loses something differs by library:
#   numpy.ma: pickle gives a hard mask back as a soft one, so an assignment to a masked cell, which was ignored, unmasks it;
#   astropy WCS: pickle goes through a FITS header of 14 digits, so a time axis in seconds since 1970 moves by 33
#     microseconds, and wcs.compare calls the two different;
#   RDKit Mol: pickle rounds the coordinates of conformers to single precision (CoordsAsDouble exists and is off), so
#     energies differ from the one process's, besides that names are dropped, which the manual does say;
#   SimpleITK Image: copy.deepcopy drops the metadata (all DICOM tags), which pickle and copy.copy keep.
#   A framework that pickles between processes and deep-copies within one gives other results in one than in the other.
# Seen 2026-11-29: as said; hard mask [1, --] -> [1, 99]; WCS 1666666666.6666667 -> 1666666666.6667; RDKit 5e-8; SimpleITK
#   tags 1 -> 0.
# Fails (exit 1) when one of the four keeps by both what it keeps by one.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/env"; "$dir/env/bin/pip" install -q --disable-pip-version-check --only-binary=:all: numpy==2.4.6 astropy==8.0.2 rdkit==2026.9.1 SimpleITK==2.5.7
cat > "$dir/copies.py" <<'P'
import copy
import pickle
import sys

import numpy
import SimpleITK
from astropy.wcs import WCS
from rdkit import Chem
from rdkit.Chem import AllChem

def pickled(value):
    return pickle.loads(pickle.dumps(value, 5))

def mask_holds(array):
    array = array.copy()
    array[1] = 99.0
    return bool(array.mask[1])

spectrum = numpy.ma.array([1.0, 2.0], mask=[False, True])
spectrum.harden_mask()

clock = WCS(naxis=1)
clock.wcs.ctype, clock.wcs.cunit = ["TIME"], ["s"]
clock.wcs.crval, clock.wcs.cdelt = [5.0e9 / 3], [1 / 3]
clock.wcs.set()

molecule = Chem.AddHs(Chem.MolFromSmiles("CCO"))
AllChem.EmbedMolecule(molecule, randomSeed=1)
positions = molecule.GetConformer().GetPositions()

image = SimpleITK.Image(4, 4, SimpleITK.sitkFloat32)
image["0010|0020"] = "patient 7"

checks = {
    "numpy.ma hard mask": (spectrum, mask_holds),
    "astropy WCS": (clock, lambda wcs: bool(clock.wcs.compare(wcs.wcs)) and wcs.wcs.crval[0] == clock.wcs.crval[0]),
    "RDKit conformer": (molecule, lambda mol: (mol.GetConformer().GetPositions() == positions).all()),
    "SimpleITK metadata": (image, lambda copied: copied.GetMetaDataKeys() == ("0010|0020",)),
}
found = {}
for name, (original, is_kept) in checks.items():
    assert is_kept(original)
    found[name] = bool(is_kept(pickled(original))), bool(is_kept(copy.deepcopy(original)))
    print(f"{name}: kept by pickle {found[name][0]}, by deepcopy {found[name][1]}")
print("WCS after pickle:", float(clock.wcs.crval[0]), "->", float(pickled(clock).wcs.crval[0]))
print("RDKit after pickle:", f"{abs(pickled(molecule).GetConformer().GetPositions() - positions).max():.0e} angstrom")
sys.exit(list(found.values()) != [(False, True), (False, True), (False, True), (True, False)])
P
"$dir/env/bin/python" "$dir/copies.py" || { echo "CHANGED"; exit 1; }
