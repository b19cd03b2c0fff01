#!/usr/bin/env bash
# Packages: pyshp 3.1.6 (the module shapefile).
# Behaviour: a number in a record that is longer than its field is cut off on the right, in the integer part as well: in
#   a field of eight characters with three decimals 1234567891.5 is written as 12345678 and read as that, a hundredth;
#   1e20 in twelve characters is 1e11, and -12345.678 is -12345.6.  Without sizes field("x", "N") has no decimals and
#   0.75 is 0, so that a value is truncated, not rounded.  Nothing raises or warns, while a text that is too long gives
#   the warning PossibleDataLoss.  The docstring of field is "Adds a dbf field descriptor to the shapefile", and record
#   has none.
# Seen 2026-12-01: 1234567891.5 -> 12345678.0, 1e20 -> 1e11, 12345678901 -> 1234567890, 0.75 -> 0; no warning.
# Fails (exit 1) when a number that does not fit is kept, warns or is refused.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/env"; "$dir/env/bin/pip" install -q --no-compile --disable-pip-version-check --only-binary=:all: pyshp==3.1.6
cat > "$dir/records.py" <<'P'
import io
import sys
import warnings

import shapefile

warnings.simplefilter("error")


def written(value, *field):
    files = {name: io.BytesIO() for name in ("shp", "shx", "dbf")}
    with shapefile.Writer(**files) as writer:
        writer.field("value", *field)
        writer.point(0, 0)
        writer.record(value)
    for file in files.values():
        file.seek(0)
    return shapefile.Reader(**files).record(0)[0]


seen = [
    (1234.5, ("N", 8, 3), 1234.5),
    (1234567891.5, ("N", 8, 3), 12345678.0),
    (-12345.678, ("N", 8, 3), -12345.6),
    (1e20, ("F", 12, 3), 1e11),
    (12345678901, ("N", 10), 1234567890),
    (0.75, ("N",), 0),
]
found = [written(value, *field) for value, field, _ in seen]
for (value, field, _), other in zip(seen, found):
    print(f"{value!r:14} in {field!r:13} -> {other!r}")
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    print("'abcdef' of five letters:", written("abcdef", "C", 5), [warning.category.__name__ for warning in caught])
has_warned = any(warning.category is shapefile.PossibleDataLoss for warning in caught)
is_as_seen = found == [other for *_, other in seen] and has_warned
if not is_as_seen:
    print("CHANGED")
sys.exit(not is_as_seen)
P
"$dir/env/bin/python" "$dir/records.py"
