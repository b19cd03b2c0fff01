#!/usr/bin/env bash
# Packages: quantities 0.16.4, openmm 8.6.1 with numpy 2.4.6.
# Behaviour: results of several items are put together in a list, an array or by numpy.concatenate.  quantities, the units
#   of neo and elephant, takes the numbers alone: Quantity([1 km, 1 m], "m") is [1, 1] m, concatenate and append of km and
#   m are [1, 1] without a unit, numpy.isin and array_equal find 1 km among metres.  km + m and == convert as they should.
#   OpenMM's Quantity with arrays: concatenate, numpy.add and maximum of nm and angstrom are of the numbers alone, and
#   a + b is right.  Nothing raises or warns.  (quantities: sum(list, 0 * m) is right, numpy.maximum is an error.)
# Seen 2026-12-01: quantities [1 km, 1 m] -> [1, 1] m, 1001 m by sum; OpenMM numpy.add(1 nm, 1 angstrom) -> 2, + 1.1 nm.
# Fails (exit 1) when the list is converted, or concatenate and add have units.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/env"; "$dir/env/bin/pip" install -q --no-compile --disable-pip-version-check --only-binary=:all: quantities==0.16.4 openmm==8.6.1 numpy==2.4.6
cat > "$dir/lengths.py" <<'P'
import sys
import warnings

import numpy as np
import quantities as pq
from openmm import unit

warnings.simplefilter("error")
kilometre, metre = np.ones(1) * pq.km, np.ones(1) * pq.m
of_list = pq.Quantity([1.0 * pq.km, 1.0 * pq.m], "m")
joined, appended = np.concatenate([kilometre, metre]), np.append(kilometre, metre)
right = sum([kilometre, metre], 0 * pq.m)
print("quantities: Quantity([1 km, 1 m], 'm') ", of_list)
print("quantities: concatenate, append        ", joined, appended)
print("quantities: isin, array_equal          ", np.isin(kilometre, metre), np.array_equal(kilometre, metre))
print("quantities: sum, ==                    ", right, kilometre == metre)
assert right.rescale("m").item() == 1001 and not (kilometre == metre).any()

nanometre, angstrom = unit.Quantity(np.ones(1), unit.nanometer), unit.Quantity(np.ones(1), unit.angstrom)
added, put_together = np.add(nanometre, angstrom), np.concatenate([nanometre, angstrom])
print("OpenMM: +                              ", nanometre + angstrom)
print("OpenMM: numpy.add, concatenate         ", added, put_together)
assert abs((nanometre + angstrom).value_in_unit(unit.nanometer)[0] - 1.1) < 1e-9
is_as_seen = (
    of_list.magnitude.tolist() == [1, 1]
    and of_list.units == pq.m
    and joined.magnitude.tolist() == appended.magnitude.tolist() == [1, 1]
    and joined.dimensionality == pq.dimensionless.dimensionality
    and type(added) is type(put_together) is np.ndarray
    and added.tolist() == [2]
    and put_together.tolist() == [1, 1]
)
if not is_as_seen:
    print("CHANGED")
sys.exit(not is_as_seen)
P
"$dir/env/bin/python" "$dir/lengths.py"
