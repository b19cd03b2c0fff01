#!/usr/bin/env bash
# Packages: astropy 8.0.2 with numpy 2.4.6.
# Behaviour: a Quantity, Time or SkyCoord that was taken from a QTable by name (table["flux"]) cannot be pickled:
#   TypeError "cannot pickle 'weakref.ReferenceType' object", and no word of the table. So it cannot be sent to another
#   process, nor kept in a cache. The whole table can, as can one row or one value, the same column from [:] or .copy(),
#   and a column without a unit. The column still cannot be pickled when the table is gone. What refers to the table is
#   column.info, in which pickle finds a weak reference. A deepcopy of a Quantity or a Time is free of it, one of a
#   SkyCoord is not.
# Seen 2026-11-30: Quantity, Time, SkyCoord, deepcopy of SkyCoord: TypeError; [:], copy(), row, value, QTable: pickled.
# Fails (exit 1) when such a column can be pickled.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/env"; "$dir/env/bin/pip" install -q --disable-pip-version-check --only-binary=:all: astropy==8.0.2 numpy==2.4.6
cat > "$dir/columns.py" <<'P'
import copy
import gc
import pickle
import sys

import numpy
from astropy import units
from astropy.coordinates import SkyCoord
from astropy.table import QTable
from astropy.time import Time


def outcome(value):
    try:
        pickle.dumps(value, 5)
    except TypeError as error:
        return f"TypeError: {error}"
    return "pickled"


numbers = numpy.arange(3.0)
table = QTable(
    {
        "flux": numbers * units.Jy,
        "begin": Time(numbers, format="mjd"),
        "place": SkyCoord(numbers * units.deg, numbers * units.deg),
        "count": numbers,
    }
)
failed = {}
works = {"QTable": outcome(table), "row": outcome(table[0]), "value": outcome(table["flux"][0])}
for name in ("flux", "begin", "place"):
    column = table[name]
    failed[type(column).__name__] = outcome(column)
    works[f"{name}[:]"] = outcome(column[:])
    works[f"{name}.copy()"] = outcome(column.copy())
    copies = failed if name == "place" else works
    copies[f"deepcopy of {name}"] = outcome(copy.deepcopy(column))
works["count"] = outcome(table["count"])
flux = table["flux"]
del table, column
gc.collect()
failed["Quantity, without the table"] = outcome(flux)
for name, found in {**failed, **works}.items():
    print(f"{name}: {found}")
is_as_seen = all("weakref" in found for found in failed.values()) and {*works.values()} == {"pickled"}
if not is_as_seen:
    print("CHANGED")
sys.exit(not is_as_seen)
P
"$dir/env/bin/python" "$dir/columns.py"
