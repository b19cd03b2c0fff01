#!/usr/bin/env bash
# Packages: control 0.10.2 with numpy 2.4.6, scipy 1.17.1.
# Behaviour: a TransferFunction whose coefficients are whole numbers keeps them as integers of 64 bits, or of as few
#   bits as the array has that was given, and +, *, **, parallel and feedback compute modulo 2**64. An amplifier of
#   1e7/(s + 1e7) that is written tf([10**7], [1, 10**7]), or by s, has a gain of 1, and three in parallel have -1.76;
#   three in series have other poles. Coefficients of an array of int16 wrap beyond 32767. Nothing raises or warns. The
#   docstring of the function that takes the coefficients says "with int converted to float"; it writes the floats
#   into the array of integers. Floats, zpk and state space are right. A sum, product or multiple of sampled frequency
#   responses (frd) has dt 0, which is continuous time, whatever theirs was, so that one of another rate is taken later;
#   pickle and copies keep dt.
# Seen 2026-12-03: a gain of -1.7594 in place of 3; poles at -1.29e4 and -1.5e7 +- 0.865e7j in place of three at -1e7;
#   a gain of 3616 in place of 20000 for int16; dt 0.1 -> 0.
# Fails (exit 1) when the gains add up to 3, or the responses keep dt.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/env"; "$dir/env/bin/pip" install -q --no-compile --disable-pip-version-check --only-binary=:all: control==0.10.2 numpy==2.4.6 scipy==1.17.1
cat > "$dir/gains.py" <<'P'
import copy
import pickle
import sys
import warnings

import control
import numpy as np

warnings.simplefilter("error")


def gains(g):
    sums = {"g": g, "g + g + g": g + g + g, "parallel": control.parallel(g, g, g), "g * g * g": g * g * g}
    return {name: round(float(system.dcgain()), 4) for name, system in sums.items()}


s = control.tf("s")
whole = {"tf": control.tf([10**7], [1, 10**7]), "by s": 10**7 / (s + 10**7)}
kinds = {
    **whole,
    "floats": control.tf([1e7], [1, 1e7]),
    "zpk": control.zpk([], [-1e7], 1e7),
    "state space": control.ss([[-(10**7)]], [[10**7]], [[1]], [[0]]),
}
found = {kind: gains(g) for kind, g in kinds.items()}
for kind, of_kind in found.items():
    print(f"{kind:11}:", ", ".join(f"{name} {gain}" for name, gain in of_kind.items()))
right = {"g": 1, "g + g + g": 3, "parallel": 3, "g * g * g": 1}
assert all(found[kind] == right for kind in ("floats", "state space"))
assert found["zpk"]["g + g + g"] == 3

poles = {kind: np.sort((kinds[kind] ** 3).poles()) for kind in ("tf", "floats")}
print("poles of g**3:", {kind: [f"{pole:.3g}" for pole in p] for kind, p in poles.items()})
assert np.allclose(poles["floats"], -1e7, rtol=1e-3)
raw = control.tf(np.array([20000], dtype="int16"), np.array([1, 2], dtype="int16"))
print("20000/(s + 2) of int16, twice: gain", float((raw + raw).dcgain()), "right: 20000.0")

response = control.frd(control.tf([0.1], [1, -0.9], dt=0.1), [1, 2, 3])
slower = control.frd(control.tf([0.1], [1, -0.9], dt=0.5), [1, 2, 3])
assert pickle.loads(pickle.dumps(response)).dt == copy.deepcopy(response).dt == copy.copy(response).dt == 0.1
steps = {
    "2 * r": 2 * response,
    "-r": -response,
    "r + r": response + response,
    "r * r": response * response,
    "r * slower": response * slower,
    "feedback": response.feedback(),
}
print("dt of r is 0.1, of", {name: system.dt for name, system in steps.items()})
sampled = control.tf([0.1], [1, -0.9], dt=0.1)
assert [system.dt for system in (2 * sampled, -sampled, sampled + sampled)] == [0.1] * 3
is_as_seen = all(found[kind] == {**right, "g + g + g": -1.7594, "parallel": -1.7594} for kind in whole)
is_as_seen = is_as_seen and np.isclose(poles["tf"].real.max(), -1.29e4, rtol=1e-2)
is_as_seen = is_as_seen and (raw + raw).dcgain() == 3616 and all(system.dt == 0 for system in steps.values())
if not is_as_seen:
    print("CHANGED")
sys.exit(not is_as_seen)
P
"$dir/env/bin/python" "$dir/gains.py"
