#!/usr/bin/env bash
# Packages: spikeinterface 0.105.3 with numpy 2.4.6 and scipy 1.17.1.
# Behaviour: recordings are int16 as a rule, and common_reference, bandpass_filter and notch_filter keep that type
#   unless another is asked for.  What a filter makes of a saturated amplifier does not fit into it, and is not cut
#   off at the limit but taken modulo 65536: a strong negative value becomes a strong positive one, a spike that was
#   not there. resample of the same package rounds and cuts off, and its docstring says so; those of the others say
#   "if None the parent dtype is kept".  dtype="float32" makes them right.  Nothing warns.
# Seen 2026-12-01: three channels at 32767 and one at -5000: common_reference of the last 27769, with float32 -37767;
#   bandpass_filter of a step from 32767 to -32768 30283 for -35253.
# Fails (exit 1) when the values have the sign of those with float32.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/env"; "$dir/env/bin/pip" install -q --no-compile --disable-pip-version-check --only-binary=:all: spikeinterface==0.105.3 numpy==2.4.6 scipy==1.17.1
cat > "$dir/filters.py" <<'P'
import sys
import warnings

import numpy as np
from spikeinterface.core import NumpyRecording
from spikeinterface.preprocessing import bandpass_filter, common_reference, notch_filter

artefact = np.zeros((3000, 4), dtype="int16")  # of a stimulus: 100 samples at one limit and 100 at the other
artefact[1000:1100, :3], artefact[1100:1200, :3] = 32767, -32768
artefact[1000:1100, 3] = -5000
recording = NumpyRecording([artefact], sampling_frequency=30000.0)

warnings.simplefilter("error")
warnings.simplefilter("ignore", DeprecationWarning)  # of a library below, at exit
turned = {}
for function in (common_reference, bandpass_filter, notch_filter):
    as_it_is = function(recording).get_traces()
    as_float = function(recording, dtype="float32").get_traces()
    where = np.unravel_index(np.abs(as_it_is - as_float).argmax(), as_float.shape)
    turned[function.__name__] = float(as_it_is[where]), float(as_float[where])
    print(f"{function.__name__:16} {as_it_is.dtype} {as_it_is[where]}, float32 {as_float[where]:.1f}")
assert all(abs(right) > 32767 for _, right in turned.values())
is_as_seen = all(value * right < 0 for value, right in turned.values())
if not is_as_seen:
    print("CHANGED")
sys.exit(not is_as_seen)
P
"$dir/env/bin/python" "$dir/filters.py"
