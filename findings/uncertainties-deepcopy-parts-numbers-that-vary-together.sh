#!/usr/bin/env bash
# Packages: uncertainties 3.2.3.
# Behaviour: copy.deepcopy of a container makes independent numbers of those that depend on each other: the copy of
#   [x, 2 * x] no longer gives an exact 0 for its second minus twice its first, but 0 with an uncertainty; in sums the
#   uncertainties come out too large or too small.  The same container through pickle keeps the dependence.  So a
#   program that hands objects on by a deep copy in one process, and by pickle to another, has two error bars.
# Seen 2026-11-30: x = 1.0 +/- 0.1: pickle 0.0 +/- 0, deepcopy 0.0 +/- 0.28.
# Fails (exit 1) when both keep the dependence, or neither.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/env"; "$dir/env/bin/pip" install -q --disable-pip-version-check --only-binary=:all: uncertainties==3.2.3
cat > "$dir/copies.py" <<'P'
import copy
import pickle
import sys

from uncertainties import ufloat

x = ufloat(1.0, 0.1)
pair = [x, 2 * x]
deviations = {}
for how, made in (("pickle", pickle.loads(pickle.dumps(pair))), ("copy.deepcopy", copy.deepcopy(pair))):
    difference = made[1] - 2 * made[0]
    deviations[how] = difference.std_dev
    print(f"{how:14} {difference.nominal_value} +/- {difference.std_dev:.2f}")
is_as_seen = deviations["pickle"] == 0 < deviations["copy.deepcopy"]
if not is_as_seen:
    print("CHANGED")
sys.exit(not is_as_seen)
P
"$dir/env/bin/python" "$dir/copies.py"
