#!/usr/bin/env bash
# Packages: dill 0.4.1, cloudpickle 3.1.3.
# Behaviour: with recurse=True, dill fails with RecursionError at a function that was made in a call and refers to
#   itself by its closure (a recursive helper), or to another one that refers back: looking for the globals that
#   the function needs, it follows closures without noting which it has seen. Without recurse=True it carries the
#   same function, and so does cloudpickle. A setting that is to carry less fails where the default works.
# Seen 2026-11-29 (Python 3.11): default -> 6; recurse=True -> RecursionError; cloudpickle -> 6.
# Fails (exit 1) when dill with recurse=True carries the function.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/env"; "$dir/env/bin/pip" install -q --disable-pip-version-check dill==0.4.1 cloudpickle==3.1.3
cat > "$dir/carry.py" <<'P'
import pickle
import sys

import cloudpickle
import dill

def make():
    def factorial(n):
        return 1 if n < 2 else n * factorial(n - 1)
    return factorial

def carry(name, dumps, loads):
    try:
        answer = str(loads(dumps(make()))(3))
    except RecursionError as error:
        answer = type(error).__name__
    print(f"{name}: {answer}", flush=True)
    return answer

answers = [
    carry("dill", dill.dumps, dill.loads),
    carry("dill, recurse=True", lambda f: dill.dumps(f, recurse=True), dill.loads),
    carry("cloudpickle", cloudpickle.dumps, pickle.loads),
]
sys.exit(answers != ["6", "RecursionError", "6"])
P
"$dir/env/bin/python" "$dir/carry.py" || { echo "CHANGED"; exit 1; }
