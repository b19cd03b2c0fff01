#!/usr/bin/env bash
# Packages: numpy 2.4.6.
# Behaviour: a seeded Generator gives the same numbers and the same children (spawn) in each run. Two of NumPy's own ways
#   to hand one on keep the numbers and lose the children, in silence: bit_generator.jumped() (a stream per worker) comes
#   with a seed sequence of fresh entropy, so each run spawns other children from it; and a generator whose
#   bit_generator.state was saved and set again (a checkpoint) goes on spawning from the seed of the generator that it was
#   set in. pickle and copy.deepcopy keep both, with the count of children already spawned; copy.copy gives no copy but
#   a second name for the stream: a draw from one moves the other. The reference pages of jumped and state say none of it.
# Seen 2026-11-29: two runs of one seed: jumped: draws equal, children differ; state: draws equal, children differ;
#   pickle, deepcopy: both equal; copy.copy: shares the stream.
# Fails (exit 1) when the children of a jumped generator, or of one with restored state, are the same each time.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/env"; "$dir/env/bin/pip" install -q --disable-pip-version-check --only-binary=:all: numpy==2.4.6
cat > "$dir/spawn.py" <<'P'
import copy
import pickle
import sys

from numpy.random import Generator, default_rng

def jumped():
    return Generator(default_rng(42).bit_generator.jumped())

def restored():
    saved = default_rng(42)
    generator = default_rng()
    generator.bit_generator.state = saved.bit_generator.state
    return generator

def pickled():
    return pickle.loads(pickle.dumps(default_rng(42), 5))

def deep_copy():
    return copy.deepcopy(default_rng(42))

def run(make):
    generator = make()
    return generator.random(), generator.spawn(1)[0].random()

found = {}
for make in (jumped, restored, pickled, deep_copy):
    (draw, child), (draw_again, child_again) = run(make), run(make)
    found[make.__name__] = (draw == draw_again, child == child_again)
    print(f"{make.__name__}: two runs draw the same: {draw == draw_again}, spawn the same: {child == child_again}")
original = default_rng(42)
print("copy.copy shares the stream:", copy.copy(original).bit_generator is original.bit_generator)
expected = {"jumped": (True, False), "restored": (True, False), "pickled": (True, True), "deep_copy": (True, True)}
sys.exit(found != expected or copy.copy(original).bit_generator is not original.bit_generator)
P
"$dir/env/bin/python" "$dir/spawn.py" || { echo "CHANGED"; exit 1; }
