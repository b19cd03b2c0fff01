#!/usr/bin/env bash
# Packages: pyuff 2.5.8 with numpy 2.4.6.
# Behaviour: UFF is the format of vibration tests; a set 58, a measured function, is written as text or, with binary=1, as
#   binary. write_sets(set, "overwrite") of a binary one leaves a file of seven characters, the end mark, and no set
#   at all; of several sets the first is gone. The file is opened anew between the header, the numbers and the end mark,
#   each time in the mode "overwrite". "add", the default, writes the same set in full, and "overwrite" of text does.
#   Before that, in both forms, nan and infinite numbers, a sensor that was off for instance, become 0 and 1.8e308, in the
#   file and in the dictionary that was handed over. Nothing raises or warns. The docstring offers "mode - 'add' or
#   'overwrite'" and has neither exception.
# Seen 2026-12-02: one binary set 1 to 5: no set in 7 bytes, by "add" one; a text set with nan, inf: 0.0, 1.8e308.
# Fails (exit 1) when the binary set is in the file that it overwrites.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/env"; "$dir/env/bin/pip" install -q --no-compile --disable-pip-version-check --only-binary=:all: pyuff==2.5.8 numpy==2.4.6
cat > "$dir/sets.py" <<'P'
import os
import sys
import warnings

import numpy as np
import pyuff

warnings.simplefilter("error")
warnings.simplefilter("ignore", ResourceWarning)


def measured(numbers, binary):
    return pyuff.prepare_58(
        binary=binary,
        func_type=1,
        rsp_node=1,
        rsp_dir=3,
        ref_node=2,
        ref_dir=3,
        rsp_ent_name="beam",
        ref_ent_name="beam",
        data=np.array(numbers, dtype=float),
        x=np.arange(len(numbers)) / 4,
        abscissa_spacing=1,
        abscissa_spec_data_type=17,
        ordinate_spec_data_type=12,
        orddenom_spec_data_type=13,
        id1="beam",
    )


def written(binary, mode):
    if os.path.exists("beam.uff"):
        os.remove("beam.uff")
    pyuff.UFF("beam.uff").write_sets(measured([1, 2, 3, 4, 5], binary), mode)
    found = pyuff.UFF("beam.uff").read_sets()
    found = found["data"].tolist() if isinstance(found, dict) and "data" in found else []
    print("binary" if binary else "text  ", f"{mode:9}: {os.path.getsize('beam.uff')} bytes,", found)
    return found


whole = [1, 2, 3, 4, 5]
assert written(0, "add") == written(0, "overwrite") == written(1, "add") == whole
alone = written(1, "overwrite")

gaps = measured([1, np.nan, np.inf, 4], 0)
pyuff.UFF("gaps.uff").write_sets(gaps, "overwrite")
in_file, in_memory = pyuff.UFF("gaps.uff").read_sets()["data"].tolist(), gaps["data"].tolist()
print("1, nan, inf, 4 in the file:", in_file, "in memory:", in_memory)
is_as_seen = alone == [] and in_file[1] == in_memory[1] == 0 and in_file[2] > 1e308
if not is_as_seen:
    print("CHANGED")
sys.exit(not is_as_seen)
P
cd "$dir" && "$dir/env/bin/python" sets.py
