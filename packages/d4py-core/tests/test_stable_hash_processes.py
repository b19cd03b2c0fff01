"""The hash of group keys is the same in every process."""

import json
import os
import pickle
import subprocess
import sys

import pytest
from core_helpers.group_keys import keys, needs_numpy, numpy
from hypothesis import given, settings
from hypothesis import strategies as st

from dispel4py.engine.items.stable_hash import stable_hash

HASH_WHAT_COMES = """
import pickle, struct, sys
from dispel4py.engine.items.stable_hash import stable_hash

while head := sys.stdin.buffer.read(4):
    keys = pickle.loads(sys.stdin.buffer.read(*struct.unpack("<I", head)))
    sys.stdout.buffer.write(struct.pack(f"<{len(keys)}Q", *map(stable_hash, keys)))
    sys.stdout.buffer.flush()
"""


class OtherProcess:
    """A Python with a PYTHONHASHSEED of its own that hashes keys."""

    def __init__(self, seed: int):
        self.process = subprocess.Popen(
            [sys.executable, "-c", HASH_WHAT_COMES],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONHASHSEED": str(seed)},
        )

    def hashes(self, batch: list) -> list[int]:
        data = pickle.dumps(batch)
        self.process.stdin.write(len(data).to_bytes(4, "little") + data)
        self.process.stdin.flush()
        answer = self.process.stdout.read(8 * len(batch))
        return [int.from_bytes(answer[i : i + 8], "little") for i in range(0, len(answer), 8)]

    def close(self):
        self.process.stdin.close()
        assert self.process.wait(30) == 0
        self.process.stdout.close()


@pytest.fixture(scope="module")
def others():
    started = [OtherProcess(seed) for seed in (1, 2, 4711)]
    yield started
    for other in started:
        other.close()


@settings(max_examples=50)
@given(batch=st.lists(keys, min_size=1, max_size=50))
def test_m1_keys_hash_alike_in_every_process(others, batch):
    here = [stable_hash(key) for key in batch]

    for other in others:
        assert other.hashes(batch) == here


@needs_numpy
def test_m1_numpy_keys_hash_alike_in_every_process(others):
    batch = [
        *(
            kind(7)
            for kind in (numpy.int8, numpy.uint64, numpy.float16, numpy.complex128, numpy.bool_)
        ),
        numpy.str_("text"),
        numpy.bytes_(b"bytes"),
        numpy.datetime64("2020-01-01T12:00:00"),
        numpy.timedelta64(5, "ms"),
    ]

    for other in others:
        assert other.hashes(batch) == [stable_hash(key) for key in batch]


OWN_TYPES = """
import dataclasses, enum, json
from dispel4py.engine.items.stable_hash import stable_hash

class Color(enum.Enum):
    RED = 1

class Wish(enum.Flag):
    TEA = 1
    CAKE = 2

@dataclasses.dataclass
class Place:
    name: str
    tags: frozenset

keys = [Color.RED, Wish.TEA | Wish.CAKE, Place("a", frozenset({"b", "c", "d"})), (Color.RED, {"x"})]
print(json.dumps([stable_hash(key) for key in keys]))
"""


def test_m1_enums_and_dataclasses_hash_alike_in_every_process():
    answers = [
        json.loads(
            subprocess.run(
                [sys.executable, "-c", OWN_TYPES],
                env={**os.environ, "PYTHONHASHSEED": seed},
                capture_output=True,
                check=True,
                timeout=60,
            ).stdout
        )
        for seed in ("0", "1", "4711")
    ]

    assert answers[0] == answers[1] == answers[2]
    assert len(set(answers[0])) == 4
