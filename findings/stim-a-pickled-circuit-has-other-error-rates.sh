#!/usr/bin/env bash
# Packages: stim 1.16.0 with numpy 2.4.6.
# Behaviour: a circuit for quantum error correction is pickled as its text, in which numbers have six digits: the error
#   rates of the gates are others in the next process, and so are coordinates of detectors above a million.  copy.copy,
#   copy.deepcopy and files (to_file) do the same; only the circuit's own copy() keeps all digits.  A DetectorErrorModel
#   is equal after pickle: its text has more digits.  Nothing raises or warns, and the help of str, to_file and of the
#   methods for pickle says nothing of digits.
# Seen 2026-12-01: a rate of 0.00123456789 -> 0.00123457, a coordinate of 1234567.25 -> 1234570; the error model kept.
# Fails (exit 1) when the pickled circuit is equal to the first.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/env"; "$dir/env/bin/pip" install -q --no-compile --disable-pip-version-check --only-binary=:all: stim==1.16.0 numpy==2.4.6
cat > "$dir/circuit.py" <<'P'
import copy
import pickle
import sys
import warnings

import stim

warnings.simplefilter("error")


def pickled(value):
    return pickle.loads(pickle.dumps(value))


def in_a_file(value):
    value.to_file("made.stim")
    return type(value).from_file("made.stim")


circuit = stim.Circuit("X_ERROR(0.00123456789) 0\nM 0\nDETECTOR(1234567.25) rec[-1]")
ways = {"pickle": pickled, "to_file": in_a_file, "copy.copy": copy.copy, "copy.deepcopy": copy.deepcopy, "copy()": stim.Circuit.copy}
is_equal = {}
for way, made in ways.items():
    other = made(circuit)
    is_equal[way] = other == circuit
    print(f"{way:13} rate {other[0].gate_args_copy()[0]!r}, coordinate {other[2].gate_args_copy()[0]!r}, equal: {is_equal[way]}")
model = circuit.detector_error_model()
print("error model, after pickle, equal:", pickled(model) == model)
assert pickled(model) == model
changed = [way for way, equal in is_equal.items() if not equal]
is_as_seen = changed == ["pickle", "to_file", "copy.copy", "copy.deepcopy"] and pickled(circuit)[0].gate_args_copy() == [0.00123457]
if not is_as_seen:
    print("CHANGED")
sys.exit(not is_as_seen)
P
cd "$dir" && "$dir/env/bin/python" circuit.py
