#!/usr/bin/env bash
# Packages: biom-format 2.1.18, h5py 3.16.0 with numpy 2.4.6.
# Behaviour: Table.to_json writes BIOM 1.0, which QIIME and phyloseq read, with six decimals whatever the size of the
#   numbers: a relative abundance of 4e-7 is 0 when the table is read, so a rare species is absent, and of 1.5e-6 one
#   digit is left.  TSV and HDF5 keep all digits.  A table whose rows have metadata, a taxonomy for instance, cannot
#   be pickled, so its texts are the ways to another process.  The docstring says "a JSON-formatted string
#   representing the biom table"; nothing raises or warns.
# Seen 2026-12-01: 1/3, 4e-7, 1.5e-6 -> 0.333333, 0.0, 2e-06 by JSON; species in the second sample 2 -> 1; by TSV and
#   HDF5 as they were.
# Fails (exit 1) when JSON keeps the numbers.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/env"; "$dir/env/bin/pip" install -q --no-compile --disable-pip-version-check --only-binary=:all: biom-format==2.1.18 h5py==3.16.0 numpy==2.4.6
cat > "$dir/tables.py" <<'P'
import io
import pickle
import sys
import warnings

import biom
import h5py
import numpy as np

warnings.simplefilter("error")
shares = np.array([[1 / 3, 4e-7, 1.5e-6], [2 / 3, 1 - 4e-7, 1 - 1.5e-6]])
table = biom.Table(shares, ["rare", "common"], ["one", "two", "three"], [{"genus": "A"}, {"genus": "B"}])
try:
    pickle.dumps(table)
except AttributeError as error:
    print("pickle:", error)
else:
    print("pickle: possible")


def by_hdf5(table):
    with h5py.File(io.BytesIO(), "w") as file:
        table.to_hdf5(file, "test")
        return biom.Table.from_hdf5(file)


ways = {
    "JSON": lambda table: biom.parse_table(table.to_json("test")),
    "TSV": lambda table: biom.Table.from_tsv(io.StringIO(table.to_tsv()), None, None, str),
    "HDF5": by_hdf5,
}
found = {}
for way, copied in ways.items():
    other = copied(table)
    found[way] = other.matrix_data.toarray()
    present = [int(count) for count in other.nonzero_counts("sample")]
    print(f"{way:4}", found[way][0].tolist(), "species in each sample:", present)
assert np.array_equal(found["TSV"], shares) and np.array_equal(found["HDF5"], shares)
is_as_seen = found["JSON"][0].tolist() == [0.333333, 0.0, 2e-06]
if not is_as_seen:
    print("CHANGED")
sys.exit(not is_as_seen)
P
"$dir/env/bin/python" "$dir/tables.py"
