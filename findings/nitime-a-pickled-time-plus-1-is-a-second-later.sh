#!/usr/bin/env bash
# Packages: nitime 0.12.1 with numpy 2.4.6, scipy 1.17.1.
# Behaviour: a TimeArray in milliseconds takes plain numbers for milliseconds: t + 1, t < 2.5, index_at(2). Pickle keeps
#   the times and sets the unit back to seconds, so that the same program adds a second in the next process, finds all
#   events before 2.5, and none at 2. The times of Events do the same. A UniformTime has lost its sampling rate and start
#   besides, which is an AttributeError. copy.copy, copy.deepcopy and slices keep the unit, and so do Epochs by pickle.
#   Nothing raises or warns for a TimeArray; its docstring says of time_unit "The time-unit to use", with seconds as the
#   default, and nothing of plain numbers and of pickle.
# Seen 2026-12-02: 1, 2 and 3 ms: t + 1 is 2, 3, 4 ms, after pickle 1001, 1002, 1003 ms; t < 2.5 is true for 2 and 3 of 3.
# Fails (exit 1) when the pickled times are in milliseconds.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/env"; "$dir/env/bin/pip" install -q --no-compile --disable-pip-version-check --only-binary=:all: nitime==0.12.1 numpy==2.4.6 scipy==1.17.1
cat > "$dir/events.py" <<'P'
import copy
import pickle
import sys

import numpy as np
from nitime.timeseries import Epochs, Events, TimeArray, UniformTime

PICOSECONDS = 1e9  # in a millisecond; what nitime keeps


def pickled(value):
    return pickle.loads(pickle.dumps(value))


def milliseconds(times):
    return (np.asarray(times) / PICOSECONDS).tolist()


times = TimeArray([1, 2, 3], time_unit="ms")
found = {}
ways = {"as it is": lambda t: t, "slice": lambda t: t[:], "copy.copy": copy.copy, "deepcopy": copy.deepcopy}
for way, make in {**ways, "pickle": pickled}.items():
    made = make(times)
    assert milliseconds(made) == [1, 2, 3]
    before = np.asarray(made < 2.5).tolist()
    found[way] = made.time_unit, milliseconds(made + 1), before, np.atleast_1d(made.index_at(2)).tolist()
    unit, later, before, at_2 = found[way]
    print(f"{way:9}: unit {unit}, t + 1 = {later} ms, t < 2.5 {before}, index_at(2) {at_2}")
right = ("ms", [2, 3, 4], [True, True, False], [1])
assert all(found[way] == right for way in ways)
assert pickled(Epochs([0, 10], [5, 15], time_unit="ms")).time_unit == "ms"
in_events = pickled(Events([1, 2], time_unit="ms")).time.time_unit
print("unit of Events after pickle:", in_events)

clock = UniformTime(length=5, sampling_rate=100.0, time_unit="ms")
assert int(clock.index_at(20)) == 2
try:
    outcome = str(pickled(clock).index_at(20))
except AttributeError as error:
    outcome = f"AttributeError: {error}"
print("UniformTime after pickle, index_at:", outcome)
is_as_seen = found["pickle"] == ("s", [1001, 1002, 1003], [True] * 3, []) and in_events == "s"
is_as_seen = is_as_seen and outcome.startswith("AttributeError")
if not is_as_seen:
    print("CHANGED")
sys.exit(not is_as_seen)
P
"$dir/env/bin/python" "$dir/events.py"
