#!/usr/bin/env bash
# Packages: dask and distributed 2026.8.0, joblib 1.6.0, astropy 8.0.2, unyt 3.2.0, quantities 0.16.4, pint 0.25.3 with
#   numpy 2.4.6.
# Behaviour: dask.base.tokenize and joblib.hash take an array's class, numbers, type and shape, and of a class that
#   derives from ndarray nothing more: its unit, its start time and all else that it carries is left out.  So the key of
#   [1, 2] m is that of [1, 2] km: Client.submit does not call the function for the second and returns the future of the
#   first, and a function under joblib.Memory returns its result from the disk, in later runs too.  Quantities of
#   astropy, unyt and quantities (with the signals of neo) are such classes; those of pint are not, and are right.
# Seen 2026-12-01: metres of [1, 2] m and of [1, 2] km are both [1, 2], by Client.submit, delayed(pure=True) and
#   Memory.cache.
# Fails (exit 1) when one of them tells the units apart.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/env"; "$dir/env/bin/pip" install -q --disable-pip-version-check --only-binary=:all: dask==2026.8.0 distributed==2026.8.0 joblib==1.6.0 astropy==8.0.2 unyt==3.2.0 quantities==0.16.4 pint==0.25.3 numpy==2.4.6
cat > "$dir/units.py" <<'P'
import sys

import astropy.units
import dask
import dask.base
import joblib
import numpy
import pint
import quantities
import unyt
from dask.distributed import Client

numbers = numpy.array([1.0, 2.0])
registry = pint.UnitRegistry()
same = []
for library, short, long, are_one in (
    ("astropy", numbers * astropy.units.m, numbers * astropy.units.km, True),
    ("unyt", unyt.unyt_array(numbers, "m"), unyt.unyt_array(numbers, "km"), True),
    ("quantities", numbers * quantities.m, numbers * quantities.km, True),
    ("pint", numbers * registry.m, numbers * registry.km, False),
):
    tokens = dask.base.tokenize(short) == dask.base.tokenize(long)
    hashes = joblib.hash(short) == joblib.hash(long)
    print(f"{library:10} m and km have one token of dask: {tokens}, one hash of joblib: {hashes}")
    same += [tokens == are_one, hashes == are_one]


def metres(length):
    return length.to_value("m").tolist()


lengths = [numbers * astropy.units.m, numbers * astropy.units.km]
lazy, cached = dask.delayed(metres, pure=True), joblib.Memory("cache", verbose=0).cache(metres)
with Client(processes=False, n_workers=1, threads_per_worker=1, dashboard_address=None) as client:
    submitted = client.gather([client.submit(metres, length) for length in lengths])
for how, results in (
    ("called", [metres(length) for length in lengths]),
    ("Client.submit", submitted),
    ("delayed", list(dask.compute(*[lazy(length) for length in lengths], scheduler="sync"))),
    ("Memory.cache", [cached(length) for length in lengths]),
):
    print(f"{how:13} metres of [1, 2] m and of [1, 2] km: {results}")
    same.append((results[0] == results[1]) == (how != "called"))
sys.exit(not all(same))
P
cd "$dir" && "$dir/env/bin/python" units.py || { echo "CHANGED"; exit 1; }
