#!/usr/bin/env bash
# Packages: asdf-astropy 0.11.0 with asdf 6.0.0, astropy 8.0.2 and numpy 2.4.6.
# Behaviour: an astropy Time that is saved in ASDF is written as text with three decimals where its format is text or an
#   epoch: isot, iso, yday, fits and datetime64 lose what is below a millisecond, and byear and jyear, whose decimals
#   are those of a year, move by up to four hours.  mjd, unix, decimalyear and cxcsec keep a microsecond or better.  No
#   warning; Time itself holds 0.1 ns, and pickle keeps it.
# Seen 2026-12-01: 2026-12-01T12:34:56.123456789 TT comes back 8523 s later as byear, 3865 s later as jyear, and
#   0.000457 s earlier as isot.
# Fails (exit 1) when byear comes back within a second.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/env"; "$dir/env/bin/pip" install -q --disable-pip-version-check --only-binary=:all: asdf-astropy==0.11.0 asdf==6.0.0 astropy==8.0.2 numpy==2.4.6
cat > "$dir/times.py" <<'P'
import pickle
import sys

import asdf
from astropy.time import Time

moment = Time("2026-12-01T12:34:56.123456789", scale="tt")
moved = {}
for name in ("mjd", "unix", "decimalyear", "isot", "datetime64", "jyear", "byear"):
    sent = Time(moment, format=name)
    assert abs((pickle.loads(pickle.dumps(sent)) - moment).sec) < 1e-9
    asdf.AsdfFile({"at": sent}).write_to("time.asdf")
    with asdf.open("time.asdf") as file:
        moved[name] = float((file["at"] - moment).sec)
    print(f"{name:12} {moved[name]:+.9f} s")
assert abs(moved["mjd"]) < 1e-5
is_as_seen = abs(moved["byear"]) > 3600 and abs(moved["jyear"]) > 3600 and abs(moved["isot"]) > 1e-4
if not is_as_seen:
    print("CHANGED")
sys.exit(not is_as_seen)
P
cd "$dir" && "$dir/env/bin/python" "$dir/times.py"
