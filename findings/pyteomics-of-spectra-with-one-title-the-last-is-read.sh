#!/usr/bin/env bash
# Packages: pyteomics 5.0.1 with numpy 2.4.6.
# Behaviour: pyteomics.mgf.read(path) makes a dictionary of the spectra of an MGF file by their titles, and iterates
#   over that: of spectra with one TITLE it yields the last alone, at the place of the first, and one without a TITLE is
#   left out as long as any other has one. len() is as small. Titles in MGF are free text that may be left out, and
#   repeat where files of two runs are joined ("scan=1", "scan=2", ...), by cat or by mgf.write in append mode: of the
#   spectra of two runs those of the second are read. Nothing raises or warns (only a file without any TITLE warns of an
#   empty index). With use_index=False, or a file opened as text, all are read, as by mgf.chain of the two files. The
#   docstring says that the default "facilitates random access by spectrum titles", and not that titles must differ.
#   index_by_scans=True does the same by SCANS.
# Seen 2026-12-04: two runs of 3 spectra in one file -> 3 spectra, those of the second; titles a, none, b -> a, b.
# Fails (exit 1) when all spectra are read.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/env"; "$dir/env/bin/pip" install -q --no-compile --disable-pip-version-check --only-binary=:all: pyteomics==5.0.1 numpy==2.4.6
cat > "$dir/spectra.py" <<'P'
import shutil
import sys
import warnings

import numpy as np
from pyteomics import mgf

warnings.simplefilter("error")


def path_of(name):
    return f"{sys.argv[1]}/{name}.mgf"


def spectrum(precursor, **params):
    return {
        "m/z array": np.array([100.0, 200.0]),
        "intensity array": np.array([1.0, 2.0]),
        "params": {"pepmass": (precursor, None), "charge": [2], **params},
    }


def run(first):
    return [spectrum(first + n, title=f"scan={n}", scans=str(n)) for n in (1, 2, 3)]


def precursors(source, **how):
    with mgf.read(source, **how) as reader:
        return [item["params"]["pepmass"][0] for item in reader]


for name, first in (("one", 500), ("two", 700)):
    with open(path_of(name), "w") as file:
        mgf.write(run(first), file)
with open(path_of("joined"), "w") as joined:
    for name in ("one", "two"):
        with open(path_of(name)) as part:
            shutil.copyfileobj(part, joined)
shutil.copy(path_of("one"), path_of("appended"))
with open(path_of("appended"), "a") as file:
    mgf.write(run(700), file)
with open(path_of("gap"), "w") as file:
    mgf.write([spectrum(501, title="a"), spectrum(502), spectrum(503, title="b")], file)
with open(path_of("three"), "w") as file:
    mgf.write([spectrum(501, title="a"), spectrum(502, title="b"), spectrum(503, title="a")], file)

found, right = {}, {}
for name in ("one", "two", "joined", "appended", "gap", "three"):
    with open(path_of(name)) as text:
        begun = text.read().count("BEGIN IONS")
    found[name], right[name] = precursors(path_of(name)), precursors(path_of(name), use_index=False)
    print(f"{name}: {begun} spectra in the file, read {found[name]}, without an index {right[name]}")
    assert len(right[name]) == begun
    with open(path_of(name)) as text:
        assert precursors(text) == right[name]
both = [501, 502, 503, 701, 702, 703]
assert found["one"] == right["one"] == both[:3] and found["two"] == both[3:]
assert right["joined"] == right["appended"] == both
with mgf.chain(path_of("one"), path_of("two")) as reader:
    assert [item["params"]["pepmass"][0] for item in reader] == both
with mgf.read(path_of("joined")) as reader:
    length = len(reader)
by_scans = precursors(path_of("joined"), index_by_scans=True)
print("len of the joined file:", length, "; by scans:", by_scans)

is_as_seen = (
    found["joined"] == found["appended"] == by_scans == both[3:]
    and length == 3
    and found["gap"] == [501, 503]
    and found["three"] == [503, 502]
)
if not is_as_seen:
    print("CHANGED")
sys.exit(not is_as_seen)
P
"$dir/env/bin/python" "$dir/spectra.py" "$dir"
