#!/usr/bin/env bash
# Packages: openfermion 1.8.1, qutip 5.3.1 with numpy 2.4.6.
# Behaviour: adding two operators drops what is small in absolute terms, whatever their unit.  OpenFermion drops each
#   term that the second operand has if the sum in it is below 1e-8, so a sum of 1000 parts of 5e-9 hartree is one
#   without terms in place of 5e-6, and of two spins in joule (1e-24) the first is kept and the second is not: a + b
#   is not b + a.  A single operator, multiplied or stored, keeps its small numbers.  QuTiP sets elements of a sum of
#   sparse operators (its Pauli matrices are) below 1e-14 to 0: a Hamiltonian in joule is 0, with eigenvalues 0, while
#   that of dense ones is right. Nothing warns.  The docstrings of OpenFermion's + and += ("sum" and "in-place method
#   for +=") name no limit, and its limit is a constant without a setting; QuTiP has settings.core["auto_tidyup"],
#   which makes it right, and whose description says that there is a limit, for "sparse operations", and no word of
#   sums and units.
# Seen 2026-12-01: OpenFermion 1000 times 5e-9: {}; Z0 + Z1 of 3.3e-24 J: one term.  QuTiP sigmaz + sigmax of 3.3e-24
#   J: 0, the dense one has eigenvalues -4.7e-24 and 4.7e-24.
# Fails (exit 1) when OpenFermion keeps both terms and the sum, or QuTiP the Hamiltonian.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/env"; "$dir/env/bin/pip" install -q --no-compile --disable-pip-version-check --only-binary=:all: openfermion==1.8.1 qutip==5.3.1 numpy==2.4.6
cat > "$dir/sums.py" <<'P'
import sys

import numpy as np
import qutip
from openfermion import QubitOperator

total = QubitOperator()
for _ in range(1000):
    total += QubitOperator("Z0", 5e-9)
print("OpenFermion, 1000 times 5e-9 hartree:", total.terms, "and 1000 * 5e-9:", (1000 * QubitOperator("Z0", 5e-9)).terms)

joule = 6.62607015e-34 * 5e9  # of a qubit of 5 GHz
one, two = QubitOperator("Z0", joule), QubitOperator("Z1", joule)
print("OpenFermion, one + two:", (one + two).terms, "two + one:", (two + one).terms)
assert one.terms and two.terms and (1000 * QubitOperator("Z0", 5e-9)).terms

sparse = joule * qutip.sigmaz() + joule * qutip.sigmax()
dense = joule * qutip.sigmaz().to("Dense") + joule * qutip.sigmax().to("Dense")
with qutip.CoreOptions(auto_tidyup=False):
    kept = joule * qutip.sigmaz() + joule * qutip.sigmax()
for name, operator in {"sparse": sparse, "dense": dense, "auto_tidyup=False": kept}.items():
    print(f"QuTiP, {name}: eigenvalues", operator.eigenenergies())
expected = np.array([-1, 1]) * joule * 2**0.5
assert np.allclose(dense.eigenenergies(), expected, atol=0) and np.allclose(kept.eigenenergies(), expected, atol=0)
is_as_seen = total.terms == {} and len((one + two).terms) == 1 and len((two + one).terms) == 1
is_as_seen = is_as_seen and not sparse.full().any()
if not is_as_seen:
    print("CHANGED")
sys.exit(not is_as_seen)
P
"$dir/env/bin/python" "$dir/sums.py"
