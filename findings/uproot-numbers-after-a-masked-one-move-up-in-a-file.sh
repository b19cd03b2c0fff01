#!/usr/bin/env bash
# Packages: uproot 5.7.7, awkward 2.14.0, numpy 2.4.6, pyarrow 26.0.1.
# Behaviour: file["events"] = {"x": array} of uproot writes an RNTuple, and of an array with a mask, as ak.mask,
#   array.mask[...], numpy.ma and Arrow make it, all numbers under the mask as well, while the reader takes one number
#   for each that is not missing: in [1, -, 3] the last is read as 2, and each missing number moves all that follow by
#   one more. Lists with masked numbers, records, and what extend writes are the same. Nothing raises or warns.
#   ak.to_packed does not help. Arrays whose missing numbers are kept by index (ak.Array([1, None, 3]),
#   ak.firsts, ak.pad_none) are right, as are Parquet, and masked arrays once ak.fill_none, ak.drop_none or
#   to_IndexedOptionArray64 were called. The documentation of the two says nothing of masks; a TTree (mktree) refuses
#   option types by TypeError, and writes of a masked array of NumPy the number under the mask.
# Seen 2026-12-04: 1, -, 3 -> 1, -, 2; of 1 to 5 those above 2: -, -, 3, 4, 5 -> -, -, 1, 2, 3.
# Fails (exit 1) when masked arrays are read back as they were.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/env"; "$dir/env/bin/pip" install -q --no-compile --disable-pip-version-check --only-binary=:all: uproot==5.7.7 awkward==2.14.0 numpy==2.4.6 pyarrow==26.0.1
cat > "$dir/mask.py" <<'P'
import sys
import warnings

import awkward as ak
import numpy as np
import pyarrow
import uproot

warnings.simplefilter("error")
PATH = f"{sys.argv[1]}/events.root"


def read():
    with uproot.open(PATH) as file:
        return file["events"].arrays()


def round_trip(array):
    with uproot.recreate(PATH) as file:
        file["events"] = {"x": array, "number": np.arange(len(array))}
    back = read()
    assert back.number.tolist() == list(range(len(array)))
    return back.x.tolist()


energies = ak.Array([1.0, 2.0, 3.0, 4.0, 5.0])
high = ak.mask(energies, energies > 2)
hits = ak.Array([[1.0, 2.0], [3.0], [4.0, 5.0]])
high_hits = ak.mask(hits, hits > 1.5)
tracks = ak.mask(ak.Array([{"charge": 1}, {"charge": 2}, {"charge": 3}]), [False, True, True])
masked = {
    "numpy.ma": np.ma.array([1, 2, 3], mask=[False, True, False]),
    "ak.mask": high,
    "array.mask[...]": energies.mask[energies % 2 == 1],
    "ak.to_packed of it": ak.to_packed(high),
    "Arrow": ak.from_arrow(pyarrow.array([1, None, 3])),
    "lists": high_hits,
    "records": tracks.charge,
}


def indexed(layout, **_):
    if layout.is_option:
        return layout.to_IndexedOptionArray64()


right = {
    "None in a list": ak.Array([1, None, 3]),
    "ak.firsts": ak.firsts(ak.Array([[1, 2], [], [3]])),
    "ak.pad_none": ak.pad_none(hits, 2),
    "ak.fill_none": ak.fill_none(high, -1.0),
    "ak.fill_none of lists": ak.fill_none(high_hits, -1.0),
    "ak.drop_none of lists": ak.drop_none(high_hits),
    "to_IndexedOptionArray64": ak.Array(high.layout.to_IndexedOptionArray64()),
    "the same of lists": ak.transform(indexed, high_hits),
    "without a mask": energies,
}
found = {}
for name, array in {**masked, **right}.items():
    found[name] = round_trip(array)
    print(f"{name}: {array.tolist()} -> {found[name]}")
    assert name in masked or found[name] == array.tolist()
ak.to_parquet(high, f"{sys.argv[1]}/energies.parquet")
assert ak.from_parquet(f"{sys.argv[1]}/energies.parquet").tolist() == high.tolist() == [None, None, 3, 4, 5]

with uproot.recreate(PATH) as file:
    file["events"] = {"x": high}
    file["events"].extend({"x": high + 10})
extended = read().x.tolist()
print("extended:", high.tolist() + (high + 10).tolist(), "->", extended)

with uproot.recreate(PATH) as file:
    file.mktree("events", {"x": "int64"})
    file["events"].extend({"x": masked["numpy.ma"]})
    try:
        file.mktree("other", {"x": ak.type(high).content})
        refused = ""
    except TypeError as error:
        refused = str(error)
tree = read().x.tolist()
print("TTree of numpy.ma:", tree, "; of ak.mask:", refused.split("\n")[0])

is_as_seen = (
    found["numpy.ma"] == [1, None, 2]
    and found["ak.mask"] == found["ak.to_packed of it"] == [None, None, 1, 2, 3]
    and found["array.mask[...]"] == [1, None, 2, None, 3]
    and found["Arrow"][:2] == [1, None]
    and found["Arrow"][2] != 3
    and found["lists"] == [[None, 1], [2], [3, 4]]
    and found["records"] == [None, 1, 2]
    and extended != high.tolist() + (high + 10).tolist()
    and tree == [1, 2, 3]
    and "cannot write" in refused
)
if not is_as_seen:
    print("CHANGED")
sys.exit(not is_as_seen)
P
"$dir/env/bin/python" "$dir/mask.py" "$dir"
