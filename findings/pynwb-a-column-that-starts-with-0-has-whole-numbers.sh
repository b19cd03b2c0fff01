#!/usr/bin/env bash
# Packages: pynwb 4.2.0, hdmf 6.2.0, h5py 3.16.0 with numpy 2.4.6.
# Behaviour: data that are a Python list, as all columns are that are filled by add_trial or add_unit, are written to
#   NWB with the type of their first element.  If that is a whole number, all that follow are cut: contrasts of 0,
#   0.5, 0.9 are 0, 0, 0 in the file, and a first True makes True of each number.  So do lists as data of a
#   TimeSeries, and columns of DynamicTable.  Columns with a type in the schema (start_time, spike_times) and NumPy
#   arrays are right, and so is the object itself: trials.to_dataframe() has 0.5 until the file is read.  Nothing
#   raises or warns (a whole number after a first fraction is no loss, and one that does not fit into the first's
#   NumPy type is an error).  The docstrings of add_trial, add_trial_column and VectorData do not mention it.
# Seen 2026-12-01: contrast 0, 0.5, 0.9 -> 0, 0, 0; reward 1, 2.7, 0.3 -> 1, 2, 0; data [1, 2.5, 3.5] -> [1, 2, 3].
# Fails (exit 1) when the column has its fractions.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/env"; "$dir/env/bin/pip" install -q --no-compile --disable-pip-version-check --only-binary=:all: pynwb==4.2.0 hdmf==6.2.0 h5py==3.16.0 numpy==2.4.6
cat > "$dir/trials.py" <<'P'
import sys
import warnings
from datetime import datetime, timezone

import numpy as np
from pynwb import NWBHDF5IO, NWBFile, TimeSeries

warnings.simplefilter("error")
session = NWBFile("contrasts", "1", datetime(2026, 12, 1, tzinfo=timezone.utc))
session.add_trial_column("contrast", "of the stimulus")
session.add_trial_column("reward", "in ml")
session.add_trial_column("latency", "in s")
trials = [(0, 1, 0.25), (0.5, 2.7, 1), (0.9, 0.3, 0.5)]
for number, (contrast, reward, latency) in enumerate(trials):
    session.add_trial(number / 2, number / 2 + 0.25, contrast=contrast, reward=reward, latency=latency)
for name, data in {"list": [1, 2.5, 3.5], "array": np.array([1, 2.5, 3.5])}.items():
    session.add_acquisition(TimeSeries(name=name, data=data, unit="V", rate=1.0))
print(session.trials.to_dataframe())
with NWBHDF5IO("session.nwb", "w") as file:
    file.write(session)
with NWBHDF5IO("session.nwb", "r") as file:
    back = file.read()
    table = back.trials.to_dataframe()
    series = {name: back.acquisition[name].data[:].tolist() for name in ("list", "array")}
print("as read:", table, series, sep="\n")
assert table["start_time"].tolist() == [0, 0.5, 1] and table["latency"].tolist() == [0.25, 1, 0.5]
assert series["array"] == [1, 2.5, 3.5]
is_as_seen = table["contrast"].tolist() == [0, 0, 0] and table["reward"].tolist() == [1, 2, 0]
is_as_seen = is_as_seen and series["list"] == [1, 2, 3]
if not is_as_seen:
    print("CHANGED")
sys.exit(not is_as_seen)
P
cd "$dir" && "$dir/env/bin/python" -W ignore trials.py
