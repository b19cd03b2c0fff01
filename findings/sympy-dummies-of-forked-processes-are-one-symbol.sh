#!/usr/bin/env bash
# Packages: sympy 1.14.0 (Python 3.11, start methods fork and spawn).
# Behaviour: each call of Dummy("x") makes a symbol that is equal to no other, by a counter and a random number drawn
#   when SymPy is imported.  Processes that are forked after the import have both in common, so the first dummies of two
#   workers are equal when they have come back: their difference is 0, and a sum over four workers has fewer symbols
#   than terms.  Nothing raises or warns.  With spawn, where each process imports SymPy anew, they differ.
# Seen 2026-12-01: Dummy("x") of two forked workers: x1 - x2 = 0; spawned: _x - _x with two symbols.
# Fails (exit 1) when dummies of forked workers differ.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/env"; "$dir/env/bin/pip" install -q --disable-pip-version-check --only-binary=:all: sympy==1.14.0
cat > "$dir/dummies.py" <<'P'
import multiprocessing
import sys

import sympy


def send_a_dummy(sender):
    sender.send(sympy.Dummy("x"))


def difference(method):
    context = multiprocessing.get_context(method)
    dummies = []
    for _ in range(2):
        receiver, sender = context.Pipe(duplex=False)
        worker = context.Process(target=send_a_dummy, args=(sender,))
        worker.start()
        dummies.append(receiver.recv())
        worker.join()
    return dummies[0] - dummies[1]


if __name__ == "__main__":
    here = sympy.Dummy("x") - sympy.Dummy("x")
    forked, spawned = difference("fork"), difference("spawn")
    for where, value in (("one process", here), ("forked", forked), ("spawned", spawned)):
        print(f"{where:11} Dummy('x') - Dummy('x') = {value}, symbols: {len(value.free_symbols)}")
    sys.exit(not (forked == 0 and len(here.free_symbols) == len(spawned.free_symbols) == 2))
P
"$dir/env/bin/python" "$dir/dummies.py" || { echo "CHANGED"; exit 1; }
