#!/usr/bin/env bash
# Packages: pysam 0.24.1.
# Behaviour: an AlignedSegment cannot be pickled, and to_dict() with from_dict(), or to_string() with fromstring(), are
#   its ways to another process.  Both are SAM text, in which a number of a tag with type f or d, or in an array of
#   type f, has six significant digits: 1234567 becomes 1234570.  A file written as SAM loses the same digits; BAM keeps
#   them, and so does set_tag() with what get_tags(with_value_type=True) gives.  Nothing raises or warns.
# Seen 2026-12-01: tags f 1234567.0, d 1234567.25, B [16777215.0] -> 1234570.0, 1234570.0, [16777200.0] by to_dict,
#   to_string and a SAM file; by BAM and set_tag as they were.
# Fails (exit 1) when one of the texts keeps the numbers, or BAM or set_tag loses one.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/env"; "$dir/env/bin/pip" install -q --disable-pip-version-check --only-binary=:all: pysam==0.24.1
cat > "$dir/tags.py" <<'P'
import array
import pickle
import sys

import pysam

header = pysam.AlignmentHeader.from_dict({"SQ": [{"SN": "chr1", "LN": 1000}]})
read = pysam.AlignedSegment(header)
read.query_name, read.query_sequence, read.cigarstring = "r", "ACGT", "4M"
read.reference_id, read.reference_start = 0, 10
read.set_tag("Xf", 1234567.0, "f")
read.set_tag("Xd", 1234567.25, "d")
read.set_tag("Xb", array.array("f", [16777215.0]))
try:
    pickle.dumps(read)
    raise SystemExit("a read can be pickled")
except TypeError as error:
    print("pickle:", error)


def by_file(name, mode):
    with pysam.AlignmentFile(name, mode, header=header) as file:
        file.write(read)
    with pysam.AlignmentFile(name, check_sq=False) as file:
        return next(iter(file))


whole = (1234567.0, 1234567.25, [16777215.0])
digits = (1234570.0, 1234570.0, [16777200.0])
same = []
copied = pysam.AlignedSegment(header)
for name, value, kind in read.get_tags(with_value_type=True):
    copied.set_tag(name, value, None if kind == "B" else kind)
for way, made, expected in (
    ("as made", read, whole),
    ("to_dict", pysam.AlignedSegment.from_dict(read.to_dict(), header), digits),
    ("to_string", pysam.AlignedSegment.fromstring(read.to_string(), header), digits),
    ("SAM file", by_file("r.sam", "w"), digits),
    ("BAM file", by_file("r.bam", "wb"), whole),
    ("set_tag", copied, whole),
):
    tags = (made.get_tag("Xf"), made.get_tag("Xd"), list(made.get_tag("Xb")))
    print(f"{way:9} {tags}")
    same.append(tags == expected)
sys.exit(not all(same))
P
cd "$dir" && "$dir/env/bin/python" tags.py || { echo "CHANGED"; exit 1; }
