#!/usr/bin/env bash
# Packages: cantera 3.2.0 with numpy 2.4.6.
# Behaviour: gas.basis = "molar" makes all properties and set states (h, s, u, cp, density, HP, SP, UV ...) per kmol in
#   place of per kg.  Pickle keeps the state, species, reactions, their multipliers and the transport model, and sets the
#   basis back to "mass": the same program reads another enthalpy from the gas in the next process, and gas.HP = h, P of
#   two processes sets another temperature.  derivative_settings are set back, too.  Nothing raises or warns; the
#   docstring of __getstate__ is "Save complete information of the current phase for pickling."  copy.copy and deepcopy
#   are errors.
# Seen 2026-12-01: h of a mixture at 1000 K 3155059 -> 118257; with that h (per kmol) set, 1000 K -> 2448 K.
# Fails (exit 1) when the basis is kept.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/env"; "$dir/env/bin/pip" install -q --no-compile --disable-pip-version-check --only-binary=:all: cantera==3.2.0 numpy==2.4.6
cat > "$dir/gas.py" <<'P'
import pickle
import sys
import warnings

import cantera

warnings.simplefilter("error")
gas = cantera.Solution("gri30.yaml")
gas.TPX = 1000.0, cantera.one_atm, "CH4:1, O2:2"
gas.basis = "molar"
gas.set_multiplier(0.25, 7)
gas.derivative_settings = {"skip-third-bodies": True}
other = pickle.loads(pickle.dumps(gas))

assert abs(other.T - gas.T) < 1e-6 and other.multiplier(7) == 0.25
assert abs(other.enthalpy_mole - gas.enthalpy_mole) < 1e-3 * abs(gas.enthalpy_mole), "the state is the same"
for name in ("basis", "h", "s", "cp", "density"):
    print(f"{name:9}", getattr(gas, name), "->", getattr(other, name))
print("skip-third-bodies", gas.derivative_settings["skip-third-bodies"], "->", other.derivative_settings["skip-third-bodies"])
other.HP = gas.HP
print(f"temperature with the same enthalpy and pressure set: {gas.T:.1f} K -> {other.T:.1f} K")
is_as_seen = (gas.basis, other.basis) == ("molar", "mass") and other.T > 2000
if not is_as_seen:
    print("CHANGED")
sys.exit(not is_as_seen)
P
"$dir/env/bin/python" "$dir/gas.py"
