#!/usr/bin/env bash
# Packages: hickle 5.0.3, h5py 3.16.0, numpy 2.4.6.
# Behaviour: an element of a NumPy array of text is a numpy.str_. hickle.dump and load make the text of a list of its
#   letters of it: "control" is "[[b'c' b'o' b'n' ...]]", alone, in lists, tuples, sets and as a value of a
#   dictionary. As a key of a dictionary it is a file that cannot be loaded, and so are a structured array and a
#   zero-dimensional array of text: a ValueError, "Provided argument 'file_obj' does not appear to be a valid hickle
#   file!", once the program that had the data has ended. dump itself does not raise or warn. str(label), arrays of
#   text, and the columns of a structured array one by one are right, as is pickle. The readme says that objects of
#   NumPy are stored by a loader of hickle's own. h5py reads what load refuses.
# Seen 2026-12-03: the labels "control", "treated" -> "[[b'c' b'o' b'n' b't' b'r' b'o' b'l']]", "[[b't' b'r' ...]]".
# Fails (exit 1) when the labels are kept, or refused by dump, or structured arrays can be loaded.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/env"; "$dir/env/bin/pip" install -q --no-compile --disable-pip-version-check --only-binary=:all: hickle==5.0.3 h5py==3.16.0 numpy==2.4.6
cat > "$dir/labels.py" <<'P'
import pickle
import sys
import warnings

import h5py
import hickle
import numpy as np

warnings.simplefilter("error")


def dumped(value):
    hickle.dump(value, "value.hkl", mode="w")
    try:
        return hickle.load("value.hkl")
    except ValueError as error:
        return str(error).splitlines()[0]


labels = np.array(["control", "treated"])
groups = [labels[0], list(labels), tuple(labels), {"group": labels[0]}]
read = [dumped(group) for group in groups]
for group, found in zip(groups, read):
    print(group, "->", found)
table = np.array([(1, 2.5), (3, 4.5)], dtype=[("count", "i4"), ("mean", "f8")])
refused = {
    "a key": dumped({labels[0]: 1.5}),
    "an array of one text": dumped(np.array(labels[0])),
    "a structured array": dumped(table),
}
for name, message in refused.items():
    print(f"{name} ->", message[:100])
assert (h5py.File("value.hkl")["data"][()] == table).all()
assert pickle.loads(pickle.dumps(groups)) == groups
rights = [dumped(str(labels[0])), dumped(labels.tolist()), list(dumped(labels)), dumped({str(labels[0]): 1.5})]
print("by str(label), tolist() and arrays:", rights)
assert rights == ["control", ["control", "treated"], ["control", "treated"], {"control": 1.5}]
columns = dumped({name: table[name] for name in table.dtype.names})
assert all((columns[name] == table[name]).all() for name in table.dtype.names)

letters = ["[[b'c' b'o' b'n' b't' b'r' b'o' b'l']]", "[[b't' b'r' b'e' b'a' b't' b'e' b'd']]"]
is_as_seen = read == [letters[0], letters, tuple(letters), {"group": letters[0]}]
is_as_seen = is_as_seen and all("does not appear to be a valid hickle file" in str(m) for m in refused.values())
if not is_as_seen:
    print("CHANGED")
sys.exit(not is_as_seen)
P
cd "$dir" && "$dir/env/bin/python" labels.py
