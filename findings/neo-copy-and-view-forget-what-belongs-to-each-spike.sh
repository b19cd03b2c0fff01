#!/usr/bin/env bash
# Packages: neo 0.14.6 with quantities 0.16.4 and numpy 2.4.6.
# Behaviour: copy.copy and .view() of neo's SpikeTrain, AnalogSignal, Event and Epoch have no array_annotations, the
#   values that belong to each spike, channel or event (a quality, an electrode); annotations, labels and durations are
#   kept, and so is all by copy.deepcopy, pickle and slices.  No error, no warning.
# Seen 2026-12-01: copy.copy of a train with array_annotations q = 7, 8, 9 has {}; deepcopy and train[0:2] have them.
# Fails (exit 1) when copy.copy keeps them.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/env"; "$dir/env/bin/pip" install -q --disable-pip-version-check --only-binary=:all: neo==0.14.6 quantities==0.16.4 numpy==2.4.6
cat > "$dir/copies.py" <<'P'
import copy
import pickle
import sys

import neo
import numpy
import quantities as pq

of_each = {"quality": numpy.array([7, 8, 9])}
train = neo.SpikeTrain([1, 2, 3] * pq.s, t_stop=10 * pq.s, array_annotations=of_each, cell="a")
events = neo.Event([1, 2, 3] * pq.s, labels=["x", "y", "z"], array_annotations=of_each, cell="a")
kept = {}
for what in (train, events):
    for how, made in (
        ("copy.deepcopy", copy.deepcopy(what)),
        ("pickle", pickle.loads(pickle.dumps(what))),
        ("slice", what[0:3]),
        ("view", what.view()),
        ("copy.copy", copy.copy(what)),
    ):
        assert made.annotations == {"cell": "a"}
        kept[type(what).__name__, how] = [*made.array_annotations]
        print(f"{type(what).__name__:11} {how:14} {dict(made.array_annotations)}")
is_as_seen = all((found == []) is (how in ("view", "copy.copy")) for (_, how), found in kept.items())
if not is_as_seen:
    print("CHANGED")
sys.exit(not is_as_seen)
P
"$dir/env/bin/python" "$dir/copies.py"
