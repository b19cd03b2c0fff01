#!/usr/bin/env bash
# Packages: DendroPy 5.1.3.
# Behaviour: in NeXML each cell of an alignment names its column. DendroPy writes columns of their own for each
#   sequence of a matrix of DNA, proteins or standard characters, three sequences of 4 have 12, and reads what it has
#   written with as many empty cells before each sequence: the second begins where the first ends, and no two have a
#   column in common. Written again, as FASTA for instance, an empty cell is the text "None". Nothing raises or warns.
#   NEXUS, PHYLIP and FASTA, and NeXML of continuous characters, are right. copy.copy and deepcopy are right, too; a
#   pickle of such a matrix is made and cannot be loaded (ImmutableTypeError "FrozenOrderedDict is immutable"), so its
#   texts are the ways to another process.
# Seen 2026-12-02: ACGT, ACGA, TTTT have lengths 4, 8, 12 by NeXML; the second is NoneNoneNoneNoneACGA in FASTA.
# Fails (exit 1) when the sequences have four cells each.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/env"; "$dir/env/bin/pip" install -q --no-compile --disable-pip-version-check --only-binary=:all: DendroPy==5.1.3
cat > "$dir/alignment.py" <<'P'
import pickle
import sys

from dendropy import DnaCharacterMatrix, ProteinCharacterMatrix, StandardCharacterMatrix

ALIGNMENTS = {
    DnaCharacterMatrix: ["ACGT", "ACGA", "TTTT"],
    ProteinCharacterMatrix: ["MKTA", "MKSA", "MRTA"],
    StandardCharacterMatrix: ["0101", "0110", "1111"],
}
is_as_seen = True
for kind, sequences in ALIGNMENTS.items():
    matrix = kind.from_dict(dict(zip("abc", sequences)))
    found = {}
    for schema in ("fasta", "phylip", "nexus", "nexml"):
        other = kind.get(data=matrix.as_string(schema), schema=schema)
        found[schema] = [len(other[taxon]) for taxon in other.taxon_namespace]
    print(f"{kind.__name__} {sequences}: lengths {found}")
    is_as_seen = is_as_seen and found.pop("nexml") == [4, 8, 12] and set(map(tuple, found.values())) == {(4, 4, 4)}

matrix = DnaCharacterMatrix.from_dict(dict(zip("abc", ALIGNMENTS[DnaCharacterMatrix])))
text = DnaCharacterMatrix.get(data=matrix.as_string("nexml"), schema="nexml").as_string("fasta")
print("NeXML as FASTA:", text.split())
is_as_seen = is_as_seen and text.split()[3] == "NoneNoneNoneNoneACGA"
try:
    pickle.loads(pickle.dumps(matrix))
    print("a pickle can be loaded")
except Exception as error:
    print(f"a pickle cannot be loaded: {type(error).__name__}: {error}")
if not is_as_seen:
    print("CHANGED")
sys.exit(not is_as_seen)
P
cd "$dir" && "$dir/env/bin/python" -W ignore alignment.py
