#!/usr/bin/env bash
# Packages: spikeinterface 0.105.3 with numpy 2.4.6.
# Behaviour: pickle, copy.copy and copy.deepcopy of a sorting or recording keep spike times, traces and gains, and
#   forget what set_property and annotate have added: labels of units and channels, brain areas, notes.
#   get_property(key) is None then, and not an error, so that a choice by it is empty: of two good units none is left.
#   clone(), save() and the object's own to_dict(include_properties=True, include_annotations=True) keep them.  The
#   docstring of __reduce__ says "used by pickle to serialize the object", and nothing of what is left out.
# Seen 2026-12-01: quality ["good", "noise", "good"] -> None by pickle, copy and deepcopy; the channels' area -> None;
#   by clone() as it was.
# Fails (exit 1) when pickle keeps the property.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/env"; "$dir/env/bin/pip" install -q --no-compile --disable-pip-version-check --only-binary=:all: spikeinterface==0.105.3 numpy==2.4.6
cat > "$dir/units.py" <<'P'
import copy
import pickle
import sys
import warnings

import numpy as np
from spikeinterface.core import NumpyRecording, NumpySorting

warnings.simplefilter("error")
warnings.simplefilter("ignore", DeprecationWarning)  # of a library below, at exit
spikes = {"a": np.array([1, 5]), "b": np.array([3]), "c": np.array([4, 8, 9])}
sorting = NumpySorting.from_unit_dict([spikes], 30000.0)
sorting.set_property("quality", ["good", "noise", "good"])
recording = NumpyRecording([np.zeros((10, 2), dtype="int16")], 30000.0)
recording.set_channel_gains(0.195)
recording.set_property("area", ["CA1", "CA3"])
recording.annotate(note="light on")

ways = {
    "copy.copy": copy.copy,
    "copy.deepcopy": copy.deepcopy,
    "pickle": lambda value: pickle.loads(pickle.dumps(value)),
    "clone()": lambda value: value.clone(),
}
kept = []
for way, copied in ways.items():
    units, channels = copied(sorting), copied(recording)
    quality, area = units.get_property("quality"), channels.get_property("area")
    note = channels.get_annotation("note") if "note" in channels.get_annotation_keys() else None
    print(f"{way:13} quality {quality}, area {area}, note {note}, gains {channels.get_channel_gains()}")
    assert units.get_unit_spike_train("c").tolist() == [4, 8, 9]
    assert channels.get_channel_gains().tolist() == [0.195, 0.195]
    if quality is not None and area is not None and note is not None:
        kept.append(way)
is_as_seen = kept == ["clone()"]
if not is_as_seen:
    print("CHANGED")
sys.exit(not is_as_seen)
P
"$dir/env/bin/python" "$dir/units.py"
