#!/usr/bin/env bash
# Packages: wfdb 4.3.1, pandas 2.3.3 with numpy 2.4.6.
# Behaviour: the note (aux_note) of an annotation, of a beat in an ECG for instance, has a length of one byte in the
#   file. wfdb.wrann writes a note of more than 255 characters with its length modulo 256 and all of its characters,
#   and what does not belong to the note is read as annotations of its own: of 300 letters "x" 44 are left, and 128
#   annotations "?" follow, each 120 samples after the last, so that all beats behind the note are later than they
#   were. Of characters above 255 the last byte is left, Japanese is another text. Nothing raises or warns, and the
#   docstring does not mention a length; num and sample are checked ("must only contain non-negative integers up to
#   127").
# Seen 2026-12-02: beats at 10, 200 and 3000, the second with a note of 300 letters: 131 annotations, the last at
#   18360; a note of 255 is kept.
# Fails (exit 1) when the three beats are read as they were, or the note is refused.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/env"; "$dir/env/bin/pip" install -q --no-compile --disable-pip-version-check --only-binary=:all: wfdb==4.3.1 pandas==2.3.3 numpy==2.4.6
cat > "$dir/beats.py" <<'P'
import sys
import warnings

import numpy
import wfdb

warnings.simplefilter("error")
warnings.filterwarnings("ignore", category=DeprecationWarning)
warnings.filterwarnings("ignore", category=FutureWarning)


def written(note):
    samples = numpy.array([10, 200, 3000])
    wfdb.wrann("beats", "atr", samples, symbol=["N", "V", "N"], aux_note=["", note, ""], fs=250)
    return wfdb.rdann("beats", "atr")


found = {}
for length in (100, 255, 256, 300):
    other = written("x" * length)
    found[length] = (len(other.sample), int(other.sample[-1]), len(other.aux_note[1]))
    print(f"a note of {length}: {found[length][0]} annotations, the last at {found[length][1]}, the note has")
    print("   ", found[length][2], "letters, symbols", sorted(set(other.symbol)))
japanese = written("日本").aux_note[1]
print("a note '日本' is", repr(japanese))
try:
    wfdb.wrann("beats", "atr", numpy.array([10]), symbol=["N"], num=numpy.array([200]))
    is_checked = False
except ValueError as error:
    print("num=200:", error)
    is_checked = True
is_as_seen = (
    found[100] == (3, 3000, 100)
    and found[255] == (3, 3000, 255)
    and found[300] == (131, 18360, 44)
    and japanese != "日本"
    and is_checked
)
if not is_as_seen:
    print("CHANGED")
sys.exit(not is_as_seen)
P
cd "$dir" && "$dir/env/bin/python" beats.py
