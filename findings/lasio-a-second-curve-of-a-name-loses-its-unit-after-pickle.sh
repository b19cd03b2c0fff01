#!/usr/bin/env bash
# Packages: lasio 0.32 with numpy 2.4.6.
# Behaviour: a LAS file of a borehole may have two curves or parameters of one name, GR of two runs for instance.
#   lasio reads them as GR:1 and GR:2, keeps "GR" in original_mnemonic "for rewriting a new file", as its comment
#   says, and writes that. Pickle and copy.deepcopy make "GR:1" the original, and the file of such an object has the
#   line "GR:1.GAPI : gamma ray". A colon ends a value in LAS, so the next reader finds no unit, and "1.GAPI : gamma
#   ray" for the value; of a parameter the number is gone as well. Nothing raises or warns at pickle, writing or
#   reading. copy.copy, and files without pickle, keep all of it.
# Seen 2026-12-02: units of GR:1 and GR:2 GAPI, GAPI -> none; bit size 216.0 mm -> the text "1.MM 216.0 : bit size".
# Fails (exit 1) when the units and the bit sizes are kept.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/env"; "$dir/env/bin/pip" install -q --no-compile --disable-pip-version-check --only-binary=:all: lasio==0.32 numpy==2.4.6
cat > "$dir/well.py" <<'P'
import copy
import io
import pickle
import sys

import lasio

WELL = """~Version
VERS. 2.0 :
WRAP.  NO :
~Well
STRT.M 100.0 :
STOP.M 101.0 :
STEP.M   0.5 :
NULL. -999.25 :
~Curve
DEPT.M  : depth
GR.GAPI : gamma ray
GR.GAPI : gamma ray, second run
~Parameter
BS.MM 216.0 : bit size
BS.MM 152.0 : bit size, second run
~ASCII
100.0 50.5 51.5
100.5 60.5 61.5
101.0 70.5 71.5
"""


def written_and_read(las):
    text = io.StringIO()
    las.write(text, version=2)
    return lasio.read(text.getvalue())


ways = {
    "as read": lambda las: las,
    "copy.copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "pickle": lambda las: pickle.loads(pickle.dumps(las)),
}
found = {}
for way, copied in ways.items():
    las = written_and_read(copied(lasio.read(WELL)))
    units = [las.curves[name].unit for name in ("GR:1", "GR:2")]
    sizes = [las.params[name].value for name in ("BS:1", "BS:2")]
    found[way] = units, sizes
    print(f"{way:9} and a file: units of GR {units}, bit sizes {[str(size) for size in sizes]}")

whole = ["GAPI", "GAPI"], [216.0, 152.0]
lost = ["", ""], ["1.MM 216.0 : bit size", "2.MM 152.0 : bit size, second run"]
is_as_seen = all(found[way] == (whole if way in ("as read", "copy.copy") else lost) for way in ways)
if not is_as_seen:
    print("CHANGED")
sys.exit(not is_as_seen)
P
cd "$dir" && "$dir/env/bin/python" well.py
