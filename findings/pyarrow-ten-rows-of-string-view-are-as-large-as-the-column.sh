#!/usr/bin/env bash
# Packages: pyarrow 26.0.1.
# Behaviour: a slice of ten rows of an array of type string_view stands for the text of the whole column in all that
#   measures or sends it: `nbytes`, an IPC stream, pickle, and what `concat_arrays([slice])` makes, the advice for slices
#   of other types. IPC cuts the views, but not the text. The same slice of type string is as small as it looks by
#   `nbytes`, IPC and `concat_arrays`; `cast("string")` makes it so.
# Seen 2026-11-30, 100,000 texts of 21 to 25 bytes, ten rows: nbytes 2489050 / 250 (string_view / string), IPC
#   2490704 / 592, pickle 4090760 / 2889085, pickle after concat_arrays 2490908 / 421, after the cast 421.
# Fails (exit 1) when IPC, or concat_arrays, leaves the text of the other rows out.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q --disable-pip-version-check --only-binary=:all: pyarrow==26.0.1
cat > "$dir/views.py" <<'P'
import pickle
import sys

import pyarrow as pa

texts = ["x" * 20 + str(number) for number in range(100_000)]


def ipc(array):
    sink = pa.BufferOutputStream()
    batch = pa.record_batch([array], ["a"])
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write(batch)
    return len(sink.getvalue())


def sizes(array):
    return {
        "nbytes": array.nbytes,
        "IPC": ipc(array),
        "pickle": len(pickle.dumps(array, 5)),
        "pickle after concat_arrays": len(pickle.dumps(pa.concat_arrays([array]), 5)),
    }


views = pa.array(texts, pa.string_view()).slice(0, 10)
strings = pa.array(texts, pa.string()).slice(0, 10)
assert views.to_pylist() == strings.to_pylist()
of_views, of_strings = sizes(views), sizes(strings)
for name, size in of_views.items():
    print(f"ten rows by {name}: string_view {size} bytes, string {of_strings[name]}")
cast = pa.concat_arrays([views.cast(pa.string())])
print("string_view, cast to string, by pickle:", len(pickle.dumps(cast, 5)))
grown = ("nbytes", "IPC", "pickle after concat_arrays")
sys.exit(any(of_views[name] < 1_000_000 for name in grown) or of_strings["IPC"] > 10_000)
P
"$dir/venv/bin/python" "$dir/views.py" || { echo "CHANGED"; exit 1; }
