#!/usr/bin/env bash
# Packages: flowio 1.4.0 with numpy 2.4.6.
# Behaviour: FlowData.write_fcs writes the stored numbers of a file of floats (data type F, what cytometers write today)
#   without the keywords that say how they are to be read: $TIMESTEP and the gains $PnG, which are 1.0 in the new file.
#   as_array() of the copy has ticks in place of seconds, and fluorescence multiplied by the gain. What is given as
#   metadata={...} changes nothing of that, unless it has these keywords. write_fcs(path, metadata=data.text) keeps
#   them, and files of doubles and integers are right, as their numbers are scaled before. Nothing raises or warns.
#   The docstring says that cyt, date and spill are kept, and that keywords "related to the interpretation of the event
#   data" are set by write_fcs; that the numbers mean something else then it does not say. Besides, a FlowData cannot
#   be pickled or deep copied: TypeError of a BufferedReader, its closed file.
# Seen 2026-12-04: Time 0, 1, 200 s -> 0, 100, 20000 s; fluorescence 100, 200, 300 of gain 8 -> 800, 1600, 2400.
# Fails (exit 1) when the copy has the seconds and the fluorescence of the original, or a FlowData can be pickled.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/env"; "$dir/env/bin/pip" install -q --no-compile --disable-pip-version-check --only-binary=:all: --no-binary=flowio flowio==1.4.0 numpy==2.4.6
cat > "$dir/cells.py" <<'P'
import copy
import pickle
import re
import sys
import warnings

import flowio
import numpy as np

warnings.simplefilter("error")
CHANNELS = ["FSC-A", "FL1-A", "Time"]
STEP, GAIN = 0.01, 8.0
stored = np.array([[100, 800, 0], [200, 1600, 100], [300, 2400, 20000]], dtype=float)
# Without flowio: FCS says that a channel is divided by its gain, and ticks are multiplied by the step.
meant = stored / [1, GAIN, 1] * [1, 1, STEP]
how = {"timestep": str(STEP), "p2g": str(GAIN), "cyt": "of the second floor"}


def written(name, write):
    write(f"{sys.argv[1]}/{name}.fcs")
    with open(f"{sys.argv[1]}/{name}.fcs", "rb") as file:
        words = re.findall(rb"\$(TIMESTEP|P2G|CYT|DATATYPE)/([^/]*)/", file.read())
    data = flowio.FlowData(f"{sys.argv[1]}/{name}.fcs")
    said = {key.decode(): value.decode() for key, value in words}
    print(f"{name}: {said}, fluorescence {data.as_array()[:, 1]}, seconds {data.as_array()[:, 2]}")
    return data, said


def create(path):
    with open(path, "wb") as file:
        flowio.create_fcs(file, stored.ravel().tolist(), CHANNELS, metadata_dict=how)


original, said = written("original", create)
assert said == {"TIMESTEP": "0.01", "P2G": "8.0", "CYT": "of the second floor", "DATATYPE": "F"}
assert np.allclose(original.as_array(), meant) and np.allclose(original.as_array(preprocess=False), stored)
plain, said_of_copy = written("copy", original.write_fcs)
noted, _ = written("copy with a note", lambda path: original.write_fcs(path, metadata={"op": "somebody"}))
second, _ = written("copy of the copy", plain.write_fcs)
whole, said_of_whole = written("copy with all keywords", lambda path: original.write_fcs(path, metadata=original.text))
assert np.allclose(whole.as_array(), meant) and said_of_whole == said
assert said_of_copy["CYT"] == said["CYT"]

# The same numbers as doubles: the file of floats with another type, made here.
with open(f"{sys.argv[1]}/original.fcs", "rb") as file:
    content = file.read()
begin, end = int(original.text["begindata"]), int(original.text["enddata"])
size = 8 * stored.size
text = content[:begin].replace(b"$DATATYPE/F/", b"$DATATYPE/D/").replace(b"B/32/", b"B/64/")
text = text.replace(b"$ENDDATA/%d/" % end, b"$ENDDATA/%d/" % (begin + size - 1))
text = text.replace(b"%8d" % end, b"%8d" % (begin + size - 1))
with open(f"{sys.argv[1]}/doubles.fcs", "wb") as file:
    file.write(text + stored.astype("<f8").tobytes())
doubles = flowio.FlowData(f"{sys.argv[1]}/doubles.fcs")
assert doubles.data_type == "D" and np.allclose(doubles.as_array(), meant)
of_doubles, _ = written("copy of doubles", doubles.write_fcs)
assert np.allclose(of_doubles.as_array(), meant)

errors = {}
for name, way in (("pickle", pickle.dumps), ("deepcopy", copy.deepcopy)):
    try:
        way(original)
    except TypeError as error:
        errors[name] = str(error)
print("a FlowData by", errors)

is_as_seen = (
    all(np.array_equal(data.as_array(), stored) for data in (plain, noted, second))
    and said_of_copy == {"P2G": "1.0", "CYT": "of the second floor", "DATATYPE": "F"}
    and len(errors) == 2
    and all("BufferedReader" in error for error in errors.values())
)
if not is_as_seen:
    print("CHANGED")
sys.exit(not is_as_seen)
P
"$dir/env/bin/python" "$dir/cells.py" "$dir"
