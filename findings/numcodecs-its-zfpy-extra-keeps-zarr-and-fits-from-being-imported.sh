#!/usr/bin/env bash
# Packages: numcodecs 0.16.6, zfpy 1.0.1.post0 and 1.0.1, zarr 3.1.6, astropy 8.0.2 with numpy 2.4.6.
# Behaviour: pip install numcodecs[zfpy], the extra for the compressor ZFP, installs zfpy 1.0.1.post0, whose version
#   numcodecs takes apart with int() when it is imported: ValueError "invalid literal for int() with base 10: 'post0'".
#   zarr 3 imports numcodecs, and so do astropy.io.fits, astropy.table and astropy.wcs where it is installed, with a guard
#   for ImportError alone, so that none of them can be imported. The message names neither numcodecs nor zfpy. With zfpy
#   1.0.1 and without zfpy all can be imported; pip check finds nothing.
# Seen 2026-12-02: the import of numcodecs, zarr, astropy.io.fits, astropy.table and astropy.wcs raises ValueError; with
#   zfpy 1.0.1 none.
# Fails (exit 1) when one of them can be imported beside zfpy 1.0.1.post0, or pip installs another zfpy.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/env"; "$dir/env/bin/pip" install -q --no-compile --disable-pip-version-check --only-binary=:all: "numcodecs[zfpy]==0.16.6" zarr==3.1.6 astropy==8.0.2 numpy==2.4.6
cat > "$dir/imports.py" <<'P'
import subprocess
import sys
from importlib.metadata import version

print("zfpy", version("zfpy"))
errors = []
for name in ["numcodecs", "zarr", "astropy.io.fits", "astropy.table", "astropy.wcs"]:
    done = subprocess.run([sys.executable, "-c", f"import {name}"], stderr=subprocess.PIPE, text=True)
    errors.append(done.stderr.splitlines()[-1] if done.returncode else None)
    print(f"import {name}: {errors[-1] or 'works'}")
is_post = version("zfpy") == "1.0.1.post0"
expected = "ValueError: invalid literal for int() with base 10: 'post0'" if is_post else None
sys.exit(version("zfpy") != sys.argv[1] or errors != [expected] * 5)
P
"$dir/env/bin/python" "$dir/imports.py" 1.0.1.post0 || { echo "CHANGED"; exit 1; }
"$dir/env/bin/pip" check --disable-pip-version-check
"$dir/env/bin/pip" install -q --no-compile --disable-pip-version-check --only-binary=:all: zfpy==1.0.1
"$dir/env/bin/python" "$dir/imports.py" 1.0.1 || { echo "CHANGED"; exit 1; }
