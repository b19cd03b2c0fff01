#!/usr/bin/env bash
# Packages: rtree 1.4.1.
# Behaviour: an index in memory comes back from pickle, copy.copy and copy.deepcopy without an entry: its length is 0 and
#   each query is empty, which is a valid answer ("no station within this box"), so that nothing raises or warns.
#   __getstate__ leaves the C++ index out, and __setstate__ makes a new one with the same properties.  One in a file that
#   this program has made has "overwrite" among them: loading its pickle makes the file on disk empty as well.  One in a
#   file that was there before is opened anew and finds all, and so does shapely's STRtree.  The two methods have no
#   docstrings; that there are two looks as if pickle was meant to work.
# Seen 2026-12-01: five boxes -> none by pickle, copy and deepcopy; the file of a new index has five, and none after
#   loads; of one that was opened five and five.
# Fails (exit 1) when the index in memory keeps its boxes, or the file does.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/env"; "$dir/env/bin/pip" install -q --no-compile --disable-pip-version-check --only-binary=:all: rtree==1.4.1 shapely==2.2.0 numpy==2.4.6
cat > "$dir/boxes.py" <<'P'
import copy
import pickle
import sys
import warnings

import shapely
from rtree import index

warnings.simplefilter("error")
everywhere = (-180, -90, 180, 90)
boxes = [(k, k, k + 1, k + 1) for k in range(5)]


def pickled(value):
    return pickle.loads(pickle.dumps(value))


def filled(made):
    for number, box in enumerate(boxes):
        made.insert(number, box)
    return made


memory, file = filled(index.Index()), filled(index.Index("made"))
tree = shapely.STRtree([shapely.box(*box) for box in boxes])
of_new_file = pickle.dumps(file)
file.close()
opened = index.Index("made")
of_opened_file = pickle.dumps(opened)
opened.close()

found = {}
ways = {"as it is": lambda value: value, "pickle": pickled, "copy.copy": copy.copy, "deepcopy": copy.deepcopy}
for way, make in ways.items():
    made = make(memory)
    found[way] = sorted(made.intersection(everywhere))
    print(f"rtree in memory, {way:9}: length {len(made)}, finds {found[way]}")
assert found.pop("as it is") == [0, 1, 2, 3, 4]
assert sorted(pickled(tree).query(shapely.box(*everywhere)).tolist()) == [0, 1, 2, 3, 4]

in_file = [len(index.Index("made"))]
for text in (of_opened_file, of_new_file):
    pickle.loads(text).close()
    in_file.append(len(index.Index("made")))
print("rtree in a file, length on disk: first, after the pickle of the opened one, and of the new one:", in_file)
is_as_seen = not any(found.values()) and in_file == [5, 5, 0]
if not is_as_seen:
    print("CHANGED")
sys.exit(not is_as_seen)
P
cd "$dir" && "$dir/env/bin/python" boxes.py
