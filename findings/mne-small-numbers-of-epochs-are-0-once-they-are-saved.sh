#!/usr/bin/env bash
# Packages: mne 1.13.2, pandas 2.3.3 with numpy 2.4.6.
# Behaviour: Epochs.save writes the metadata, a number for each epoch in a pandas frame, with ten decimals, whatever their
#   size.  MNE keeps signals in volts and tesla, so amplitudes of MEG (1e-13 T) are 0.0 when the file is read, and of EEG
#   (1.234567e-06 V) five digits are left; fmt="double", which keeps the signals in full, does not help.  The
#   documentation says that str, int, float and bool are kept by save and load.
# Seen 2026-12-01: 1.5e-13 -> 0.0, 1.234567e-06 -> 1.2346e-06, 1/3 -> 0.3333333333; by pickle as they were.
# Fails (exit 1) when the numbers are read as they were written.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/env"; "$dir/env/bin/pip" install -q --no-compile --disable-pip-version-check --only-binary=:all: mne==1.13.2 pandas==2.3.3 numpy==2.4.6
cat > "$dir/epochs.py" <<'P'
import pickle
import sys
import warnings

import mne
import numpy
import pandas

warnings.simplefilter("error")
mne.set_log_level("ERROR")

sensors = mne.create_info(["MEG 0111", "MEG 0121"], 100.0, "mag")
fields = numpy.random.default_rng(1).normal(scale=1e-13, size=(3, 2, 50))
peaks = pandas.DataFrame({"tesla": [1.5e-13, -2.5e-13, 9e-14], "volt": [1.234567e-6, 2e-6, 3e-6], "ratio": [1 / 3, 0.5, 1]})
epochs = mne.EpochsArray(fields, sensors, metadata=peaks)
epochs.save("peaks-epo.fif", fmt="double")
back = mne.read_epochs("peaks-epo.fif")
assert numpy.array_equal(back.get_data(), fields), "the signals are kept in full"
assert pickle.loads(pickle.dumps(epochs)).metadata.equals(epochs.metadata)
for column in peaks:
    print(f"{column:6}", epochs.metadata[column].tolist(), "->", back.metadata[column].tolist())
print("epochs with a field above 1e-13 T:", len(epochs["tesla > 1e-13"]), "->", len(back["tesla > 1e-13"]))
is_as_seen = (back.metadata["tesla"] == 0).all() and back.metadata.iloc[0].tolist() == [0.0, 1.2346e-06, 0.3333333333]
if not is_as_seen:
    print("CHANGED")
sys.exit(not is_as_seen)
P
cd "$dir" && "$dir/env/bin/python" epochs.py
