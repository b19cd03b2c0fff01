#!/usr/bin/env bash
# Packages: stingray 2.3.2 with numpy 2.4.6, numba 0.68.1.
# Behaviour: the counts of a Lightcurve that comes from events (EventList.to_lc, Lightcurve.make_lightcurve) are
#   integers, and rebin makes integers of them. Where the new step is no multiple of the old one a bin is shared, and
#   the shares are cut down to whole numbers: 1500 photons in steps of 1 s are 1318 in steps of 1.5 s, and the mean
#   rate is 1.10 in place of 1.25 per s. With counts as floats it is right. Counts of int16, uint16 or uint8 stay so,
#   and + of two light curves and rebin wrap: 20000 + 20000 is -25536. Nothing raises or warns. The docstring of rebin
#   says that the step need not be a multiple, and that the last bin is cut off then. Besides, power spectra
#   of other normalizations are added as they are, and the sum has the norm of the first.
# Seen 2026-12-03: 1500 photons: 1318 after rebin(1.5), 1393 after rebin(2.5), 1500 after rebin(2); int16: 20000 + 20000
#   -> -25536; four bins of 20000 of uint16 -> 14464.
# Fails (exit 1) when rebin keeps the counts, or the sums are right.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/env"; "$dir/env/bin/pip" install -q --no-compile --disable-pip-version-check --only-binary=:all: stingray==2.3.2 numpy==2.4.6 numba==0.68.1
cat > "$dir/counts.py" <<'P'
import sys
import warnings

import numpy as np
from stingray import EventList, Lightcurve, Powerspectrum

warnings.filterwarnings("error", category=RuntimeWarning)
SECONDS, PHOTONS = 1200, 1500
events = np.sort(np.random.default_rng(1).uniform(0, SECONDS, PHOTONS))
curve = EventList(time=events, gti=[[0, SECONDS]]).to_lc(dt=1.0)
assert curve.counts.sum() == PHOTONS
floats = Lightcurve(curve.time, curve.counts.astype(float), dt=1.0, gti=curve.gti)
made = Lightcurve.make_lightcurve(events, 1.0, tstart=0, tseg=SECONDS, gti=[[0, SECONDS]])
found = {}
for step in (1.5, 2.5, 2.0):
    coarse, right = curve.rebin(step), floats.rebin(step)
    found[step] = int(coarse.counts.sum())
    print(
        f"{PHOTONS} photons in steps of {step} s: {found[step]}, mean rate {coarse.meanrate:.3f};"
        f" of floats {right.counts.sum():.1f}, {right.meanrate:.3f}"
    )
    assert coarse.time[-1] == right.time[-1] and len(coarse.counts) == SECONDS / step
    assert abs(right.counts.sum() - PHOTONS) < 1e-6
    assert made.rebin(step).counts.sum() == found[step]
    # By another way: events counted in the new bins.
    assert np.histogram(events, np.arange(0, SECONDS + step, step))[0].sum() == PHOTONS


def constant(value, dtype):
    return Lightcurve(np.arange(64) * 0.5, np.full(64, value, dtype=dtype), dt=0.5)


signed = (constant(20000, "int16") + constant(20000, "int16")).counts
unsigned = constant(20000, "uint16").rebin(2).counts
print("20000 + 20000 of int16:", signed[0], "; four bins of 20000 of uint16:", unsigned[0])
assert (constant(20000, int) + constant(20000, int)).counts[0] == 40000
assert constant(20000, int).rebin(2).counts[0] == 80000

leahy, frac = (Powerspectrum(curve, norm=norm) for norm in ("leahy", "frac"))
both = leahy + frac
print(f"mean power: leahy {leahy.power.mean():.3f}, frac {frac.power.mean():.3f}, leahy + frac {both.power.mean():.3f}")

is_as_seen = (
    found == {1.5: 1318, 2.5: 1393, 2.0: PHOTONS}
    and set(signed.tolist()) == {-25536}
    and set(unsigned.tolist()) == {14464}
    and both.norm == "leahy"
    and np.allclose(both.power, leahy.power + frac.power)
)
if not is_as_seen:
    print("CHANGED")
sys.exit(not is_as_seen)
P
"$dir/env/bin/python" "$dir/counts.py"
