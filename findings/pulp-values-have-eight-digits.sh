#!/usr/bin/env bash
# Packages: pulp 3.3.2 (with its CBC), highspy 1.16.0 with numpy 2.4.6.
# Behaviour: PuLP's own solver CBC hands its results over in a text file of eight significant digits, and PuLP reads
#   them back as the values.  An integer above 10**8 is another integer, which the constraints exclude: a count of at
#   least 123456789 and at most 123456789 is 123456790.  A start at 1764600001.5 s is 1764600000 s, before it is
#   allowed. The status is Optimal, the objective is computed of the rounded values, and no warning is raised.  HiGHS,
#   which is called without files, gives all digits.  The docstring of solve and the README do not mention it; for
#   GLPK, where it was six digits, it was mended in 2025 (coin-or/pulp, 814).
# Seen 2026-12-01: CBC 123456790.0, 1764600000.0, 0.33333333; HiGHS 123456789.0, 1764600001.5, 0.3333333333333333.
# Fails (exit 1) when the values of CBC keep more digits.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/env"; "$dir/env/bin/pip" install -q --no-compile --disable-pip-version-check --only-binary=:all: pulp==3.3.2 highspy==1.16.0 numpy==2.4.6
cat > "$dir/digits.py" <<'P'
import sys
import warnings

import pulp

warnings.simplefilter("error")
warnings.simplefilter("ignore", DeprecationWarning)  # of names that PuLP 4 changes


def solved(solver):
    count = pulp.LpVariable("count", 123456789, 123456789, cat="Integer")
    start = pulp.LpVariable("start", lowBound=1764600001.5)
    share = pulp.LpVariable("share", lowBound=0)
    problem = pulp.LpProblem("plan", pulp.LpMinimize)
    problem += count + start + share
    problem += 3 * share >= 1
    status = pulp.LpStatus[problem.solve(solver)]
    return status, count.value(), start.value(), share.value()


by_cbc, by_highs = solved(pulp.PULP_CBC_CMD(msg=False)), solved(pulp.HiGHS(msg=False))
print("CBC:  ", *by_cbc)
print("HiGHS:", *by_highs)
assert by_highs[:3] == ("Optimal", 123456789, 1764600001.5) and abs(by_highs[3] - 1 / 3) < 1e-12
is_as_seen = by_cbc == ("Optimal", 123456790, 1764600000, 0.33333333)
if not is_as_seen:
    print("CHANGED")
sys.exit(not is_as_seen)
P
cd "$dir" && "$dir/env/bin/python" digits.py
