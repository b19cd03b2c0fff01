#!/usr/bin/env bash
# Packages: galsim 2.8.5 with numpy 2.4.6.
# Behaviour: GalSim's usual way is one BaseDeviate and several deviates made from it, which then take turns at its one
#   stream of numbers. That tie does not outlive pickle or copy.deepcopy, not even when all are copied together, in one
#   object: each comes back with a stream of its own that stands at the same place, so the two draw the very same
#   numbers, and what was uncorrelated has a correlation of 1. Two numpy.random.Generators on one bit generator stay
#   tied. (The manual says that deviates may share a stream, and has no word on copies of them.)
# Seen 2026-11-29: 2000 pairs (flux, angle): correlation 0.0 here, 1.0 after pickle and after deepcopy; NumPy: tied.
# Fails (exit 1) when the deviates still share their stream after pickle or deepcopy.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/env"; "$dir/env/bin/pip" install -q --disable-pip-version-check --only-binary=:all: galsim==2.8.5 numpy==2.4.6
cat > "$dir/draw.py" <<'P'
import copy
import pickle
import sys

import galsim
import numpy

class Simulation:
    def __init__(self):
        self.random = galsim.BaseDeviate(42)
        self.flux = galsim.UniformDeviate(self.random)
        self.angle = galsim.UniformDeviate(self.random)

    def correlation(self):
        pairs = numpy.array([(self.flux(), self.angle()) for _ in range(2000)])
        return abs(round(float(numpy.corrcoef(pairs.T)[0, 1]), 1))

def pickled(value):
    return pickle.loads(pickle.dumps(value, 5))

found = [Simulation().correlation(), pickled(Simulation()).correlation(), copy.deepcopy(Simulation()).correlation()]
print("correlation of flux and angle: here, after pickle, after deepcopy:", found)

first = numpy.random.default_rng(42)
one, other = pickled((first, numpy.random.Generator(first.bit_generator)))
tied = one.bit_generator is other.bit_generator
print("two NumPy generators on one bit generator, after pickle:", "tied" if tied else "parted")
sys.exit(found != [0.0, 1.0, 1.0] or not tied)
P
"$dir/env/bin/python" "$dir/draw.py" || { echo "CHANGED"; exit 1; }
