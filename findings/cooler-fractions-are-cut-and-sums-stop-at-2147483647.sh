#!/usr/bin/env bash
# Packages: cooler 0.11.0, h5py 3.16.0, pandas 2.3.3 with numpy 2.4.6.
# Behaviour: create_cooler writes the counts of a contact map (Hi-C) as int32, whatever the type of the column: of
#   normalized or averaged maps 0.9 is 0, and of counts above 2**31 2147483647 is left.  merge_coolers and coarsen_cooler
#   add in int64 and write int32, so a sum of two maps with 2e9 contacts is 2147483647, too, where 4e9 would be right.
#   Nothing raises or warns.  dtypes={"count": "f8"} (or "int64") keeps all in each of the three; without it the docstring
#   of create_cooler speaks of "default dtypes" that it does not name, that of merge_coolers of "the current dtypes".
# Seen 2026-12-01: 0.5, 1.5, 0.9 -> 0, 1, 0; 2e9 + 2e9 -> 2147483647 by merging and by coarsening.
# Fails (exit 1) when the fractions or the sums are kept.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/env"; "$dir/env/bin/pip" install -q --no-compile --disable-pip-version-check --only-binary=:all: cooler==0.11.0 h5py==3.16.0 pandas==2.3.3 numpy==2.4.6
cat > "$dir/contacts.py" <<'P'
import logging
import sys
import warnings

import cooler
import pandas

logging.disable(logging.WARNING)
warnings.simplefilter("error")
bins = pandas.DataFrame({"chrom": ["chr1"] * 4, "start": [0, 10, 20, 30], "end": [10, 20, 30, 40]})


def pixels(*counts):
    return pandas.DataFrame({"bin1_id": [0, 0, 1], "bin2_id": [2, 3, 3], "count": counts})


def counts(name):
    return cooler.Cooler(name).pixels()[:]["count"].tolist()


cooler.create_cooler("means.cool", bins, pixels(0.5, 1.5, 0.9))
cooler.create_cooler("floats.cool", bins, pixels(0.5, 1.5, 0.9), dtypes={"count": "f8"})
cooler.create_cooler("large.cool", bins, pixels(3_000_000_000, 1, 2))
cooler.create_cooler("deep.cool", bins, pixels(2_000_000_000, 2_000_000_000, 1))
cooler.merge_coolers("merged.cool", ["deep.cool", "deep.cool"], mergebuf=1000)
cooler.merge_coolers("merged64.cool", ["deep.cool", "deep.cool"], mergebuf=1000, dtypes={"count": "int64"})
cooler.coarsen_cooler("deep.cool", "coarse.cool", 2, chunksize=1000)
found = {name: counts(f"{name}.cool") for name in ("means", "floats", "large", "merged", "merged64", "coarse")}
for name, values in found.items():
    print(f"{name:9}", values)
assert found["floats"] == [0.5, 1.5, 0.9] and found["merged64"] == [4_000_000_000, 4_000_000_000, 2]
largest = 2**31 - 1
is_as_seen = (
    found["means"] == [0, 1, 0]
    and found["large"] == [largest, 1, 2]
    and found["merged"] == [largest, largest, 2]
    and found["coarse"] == [largest]
)
if not is_as_seen:
    print("CHANGED")
sys.exit(not is_as_seen)
P
cd "$dir" && "$dir/env/bin/python" contacts.py
