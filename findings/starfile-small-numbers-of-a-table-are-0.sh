#!/usr/bin/env bash
# Packages: starfile 0.5.13, pandas 2.3.3, polars 2.1.0 with numpy 2.4.6.
# Behaviour: starfile.write writes the numbers of a table, STAR being the format of RELION and of cryo-electron
#   tomography, with six decimals whatever their size: a wavelength of 1.97e-12 m is 0.000000 and is read as 0, and of
#   2.5e-6 one digit is left. A block that is a dictionary keeps all digits, for the same number. Texts come back as
#   what they look like: "007" as 7, "1e5" as 100000; the text "a#b" is cut to "a", since "#" begins a comment.
#   Nothing raises or warns. float_format="%.17g" keeps the numbers, quote_all_strings=True the "#", and read(...,
#   parse_as_string=[...]) the "007". The docstring of write says of float_format only "Float format string which will
#   be passed to pandas", and not what is there by default.
# Seen 2026-12-02: 1.97e-12, 2.5e-06 -> 0.0, 3e-06 in a table, 1.97e-12 in a dictionary; "007" -> 7; "a#b" -> "a".
# Fails (exit 1) when a table keeps the numbers.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/env"; "$dir/env/bin/pip" install -q --no-compile --disable-pip-version-check --only-binary=:all: starfile==0.5.13 pandas==2.3.3 polars==2.1.0 numpy==2.4.6
cat > "$dir/tables.py" <<'P'
import sys
import warnings

import pandas
import starfile

warnings.simplefilter("error")
NUMBERS = [1.97e-12, 2.5e-06, 1234567.25]


def written(values, options={}, **reading):
    starfile.write(pandas.DataFrame({"value": values}), "table.star", **options)
    return starfile.read("table.star", **reading)["value"].tolist()


numbers = written(NUMBERS)
print("a table:", NUMBERS, "->", numbers)
starfile.write({"optics": {"value": NUMBERS[0]}}, "dictionary.star")
alone = starfile.read("dictionary.star")["value"]
print("a dictionary:", NUMBERS[0], "->", alone)
all_digits = written(NUMBERS, {"float_format": "%.17g"})
print('a table with float_format="%.17g":', all_digits)
names, texts, notes = written(["007", "012"]), written(["1e5", "2e5"]), written(["a#b", "c"])
print("texts:", names, texts, notes)
kept_names = written(["007", "012"], parse_as_string=["value"])
kept_notes = written(["a#b", "c"], {"quote_all_strings": True})
print("texts by parse_as_string and quote_all_strings:", kept_names, kept_notes)
is_as_seen = (
    numbers[0] == 0
    and numbers[1] in (2e-06, 3e-06)
    and numbers[2] == NUMBERS[2]
    and alone == NUMBERS[0]
    and all_digits == NUMBERS
    and names == [7, 12]
    and texts == [1e5, 2e5]
    and notes == ["a", "c"]
    and kept_names == ["007", "012"]
    and kept_notes == ["a#b", "c"]
)
if not is_as_seen:
    print("CHANGED")
sys.exit(not is_as_seen)
P
cd "$dir" && "$dir/env/bin/python" tables.py
