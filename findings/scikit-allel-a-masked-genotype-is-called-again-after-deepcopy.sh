#!/usr/bin/env bash
# Packages: scikit-allel 1.3.13 with numpy 2.4.6.
# Behaviour: a GenotypeArray has a mask for calls of low quality, which count_alleles, is_het and the like leave out.
#   copy.deepcopy of one, also within a dict, a list or an object, gives a plain NumPy array of its numbers: the mask and
#   the phase are gone, and GenotypeArray(copy) counts the masked calls. Its other types of arrays do the same;
#   pickle, copy.copy and slices are right. The class looks for what it does not have in the array inside, and finds
#   __deepcopy__ there. Nothing raises or warns; methods of allel are an AttributeError then, those of NumPy work.
# Seen 2026-12-02: allele counts [[0, 2], [2, 0]]; by pickle and copy.copy the same; by deepcopy [[1, 3], [2, 0]].
# Fails (exit 1) when the deepcopy is a GenotypeArray.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/env"; "$dir/env/bin/pip" install -q --no-compile --disable-pip-version-check --only-binary=:all: scikit-allel==1.3.13 numpy==2.4.6
cat > "$dir/calls.py" <<'P'
import copy
import pickle
import sys
import warnings

import allel
import numpy as np

warnings.simplefilter("error")
calls = allel.GenotypeArray([[[0, 1], [1, 1]], [[0, 0], [-1, -1]]], dtype="int8")
calls.mask = np.array([[True, False], [False, False]])
right = [[0, 2], [2, 0]]


def counts(genotypes):
    if isinstance(genotypes, np.ndarray):
        genotypes = allel.GenotypeArray(genotypes)
    return genotypes.count_alleles().tolist()


assert counts(calls) == right
found = {}
ways = {"pickle": lambda g: pickle.loads(pickle.dumps(g, 5)), "copy.copy": copy.copy, "deepcopy": copy.deepcopy}
for name, way in ways.items():
    copied = way({"calls": calls})["calls"] if name != "copy.copy" else way(calls)
    found[name] = counts(copied)
    print(f"{name:9} {type(copied).__name__:13} {found[name]}")
others = [allel.HaplotypeArray([[0, 1]]), allel.AlleleCountsArray([[3, 1]]), allel.SortedIndex([1, 5])]
kinds = [type(copy.deepcopy(one)).__name__ for one in others]
print("deepcopy of the others:", kinds)
assert found["pickle"] == found["copy.copy"] == right
is_as_seen = found["deepcopy"] == [[1, 3], [2, 0]] and set(kinds) == {"ndarray"}
if not is_as_seen:
    print("CHANGED")
sys.exit(not is_as_seen)
P
"$dir/env/bin/python" "$dir/calls.py"
