#!/usr/bin/env bash
# Packages: cvxpy 1.9.3 with its solver Clarabel 0.11.1 and numpy 2.4.6.
# Behaviour: a variable, parameter or constraint of CVXPY is known by a number that each process counts from 1, and
#   pickle keeps it.  So a variable that was made in another process, forked or not, has the number of one that is
#   made here, or of one that came from a third, and in a problem with both they are one variable: minimize x + y with
#   x >= 1 and y >= 10 has the optimum 20, not 11, and a parameter that arrived has the value of another one.  The
#   names differ, the status is "optimal", and no warning is raised.  copy.deepcopy gives the copy a number of its
#   own.  The docstrings of Variable and of get_id ("Returns a new id") do not mention it.
# Seen 2026-12-01: variables of two processes, forked and spawned: id 1 and 1, optimum 20.0, x = y = 10; made in one
#   process 11.0.  Parameters 5 and 3: a sum of 10.
# Fails (exit 1) when the optimum is 11, or the sum of the parameters 8.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/env"; "$dir/env/bin/pip" install -q --no-compile --disable-pip-version-check --only-binary=:all: cvxpy==1.9.3 clarabel==0.11.1 numpy==2.4.6
cat > "$dir/ids.py" <<'P'
import multiprocessing
import sys
import warnings

import cvxpy as cp


def variable(name):
    return cp.Variable(name=name)


def parameter(value):
    return cp.Parameter(value=value)


def elsewhere(method, function, argument):
    with multiprocessing.get_context(method).Pool(1) as pool:
        return pool.apply(function, (argument,))


def optimum(x, y):
    problem = cp.Problem(cp.Minimize(x + y), [x >= 1, y >= 10])
    value = problem.solve(solver=cp.CLARABEL)
    print(f"{problem.status}: {value:.3f} with {x} = {x.value:.3f} (id {x.id}) and {y} = {y.value:.3f} (id {y.id})")
    return value


if __name__ == "__main__":
    warnings.simplefilter("error")
    found = []
    for method in ("fork", "spawn"):
        x, y = (elsewhere(method, variable, name) for name in "xy")
        print(method, end=", ")
        found.append(optimum(x, y))
    share = cp.Variable()
    five, three = (elsewhere("spawn", parameter, value) for value in (5, 3))
    total = cp.Problem(cp.Minimize(share), [share >= five + three]).solve(solver=cp.CLARABEL)
    print("parameters of", five.value, "and", three.value, f"give {total:.3f}")
    print("made here", end=", ")
    assert abs(optimum(variable("x"), variable("y")) - 11) < 1e-3
    is_as_seen = all(abs(value - 20) < 1e-3 for value in found) and abs(total - 10) < 1e-3
    if not is_as_seen:
        print("CHANGED")
    sys.exit(not is_as_seen)
P
"$dir/env/bin/python" "$dir/ids.py"
