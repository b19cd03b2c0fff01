"""I8: a PE's interned strings come back interned from a pickle, wherever they are."""

import pickle
import sys
from io import BytesIO

import pytest

from dispel4py.base import IterativePE
from dispel4py.engine.items.codec import MAX_OBJECTS, Codec
from dispel4py.pickling.interned_strings import (
    PrimedMemo,
    RecordingPickler,
    is_interned,
    loads_with,
)

MEAN, WORDS = "mean", sys.intern("two words, and a dash - é\ud800")
CODEC = Codec()


class Options(IterativePE):
    def __init__(self):
        super().__init__()
        self.mode = MEAN
        self.more = {MEAN: [WORDS, (MEAN,), {WORDS}], "made": "".join(["me", "an"])}


def c_pickler(file, beside):
    return RecordingPickler(file, protocol=5, buffer_callback=beside)


def python_pickler(file, beside):
    return pickle._Pickler(file, protocol=5, buffer_callback=beside)


def passes(made):
    """Counts how often a pickler is made."""

    def make(file, beside):
        made.append(file)
        return c_pickler(file, beside)

    return make


def made_anew(length=8):
    """A string that nobody has interned."""
    return "".join(["x"] * length)


@pytest.mark.parametrize("make", [c_pickler, python_pickler])
def test_i8_interned_strings_come_back_interned(make):
    pe = pickle.loads(PrimedMemo().dumps(Options(), make))
    assert pe.mode is MEAN
    (key, (words, (inner,), some)), (_, made) = pe.more.items()
    assert (key, inner) == (MEAN, MEAN)
    assert key is inner is MEAN
    assert words is WORDS
    assert next(iter(some)) is WORDS
    assert made == MEAN
    assert made is not MEAN


def test_i8_what_a_codec_makes_of_a_pe_is_an_ordinary_pickle():
    data = CODEC.dumps_pe(Options())
    assert pickle.loads(data).mode is MEAN
    assert pickle._loads(data).mode is MEAN


def test_i8_calls_of_a_root_keep_what_they_are_called_with():
    calls = [{"mode": MEAN, "n": n} for n in range(5000)]
    number, loaded = CODEC.loads(CODEC.dumps_calls((3, calls), calls))
    assert (number, loaded) == (3, calls)
    assert {id(call["mode"]) for call in loaded} == {id(MEAN)}


def test_i8_what_joins_a_state_later_comes_back_interned_too():
    known = PrimedMemo(MAX_OBJECTS)
    pe = Options()
    CODEC.dumps_state(pe, known)
    pe.later = WORDS
    pe.more.clear()
    assert CODEC.loads(CODEC.dumps_state(pe, known)).later is WORDS


def test_i8_a_large_state_keeps_what_was_known_before():
    known = PrimedMemo(max_objects=10)
    CODEC.dumps_state(pe := Options(), known)
    pe.more = [made_anew(length) for length in range(2, 100)]
    made = []
    loaded = pickle.loads(known.dumps(pe, passes(made)))
    assert loaded.mode is MEAN
    assert loaded.more == pe.more
    assert len(made) == 1


def test_i8_a_state_that_was_large_is_searched_again_once_it_is_small():
    known = PrimedMemo(max_objects=40)
    pe = Options()
    for more in ([], [made_anew(length) for length in range(2, 100)]):
        pe.more = more
        known.dumps(pe, c_pickler)
    pe.more, pe.later = [], WORDS
    made = []
    assert pickle.loads(known.dumps(pe, passes(made))).later is WORDS
    assert len(made) == 3  # one that is not searched, one that is, and one with what was found


def test_a_second_state_takes_one_pass():
    known = PrimedMemo()
    pe = Options()
    first, second = [], []
    known.dumps(pe, passes(first))
    known.dumps(pe, passes(second))
    assert (len(first), len(second)) == (2, 1)


def test_a_collection_of_strings_does_not_grow_for_ever():
    known = PrimedMemo()
    for n in range(3000):
        data = known.dumps([sys.intern(f"word{n}")], c_pickler)
    assert len(data) < 50_000
    assert pickle.loads(data)[0] is sys.intern("word2999")


class MakesStrings:
    made = 0

    def __getstate__(self):
        MakesStrings.made += 1
        return {"value": sys.intern(f"string number {self.made}")}


def test_strings_that_are_made_while_they_are_pickled_come_to_an_end():
    made = pickle.loads(PrimedMemo().dumps(MakesStrings(), c_pickler))
    assert made.value.startswith("string number")


@pytest.mark.parametrize(
    ("value", "expected"),
    [(MEAN, True), (WORDS, True), (made_anew(), False), (made_anew(300), False), (3, False)],
    ids=["word", "words", "made", "long", "number"],
)
def test_an_interned_string_is_known(value, expected):
    assert is_interned(value) is expected


def test_large_objects_are_left_out():
    large = bytearray(1000)
    known = PrimedMemo(is_external=lambda value: type(value) is bytearray)
    data = known.dumps([large, MEAN, large], c_pickler)
    assert known.external == [large]
    assert len(data) < 200
    first, mean, second = loads_with(data, known.external.__getitem__)
    assert first is second is large
    assert mean is MEAN


class MakesLarge:
    def __getstate__(self):
        return {"large": bytearray(1000), "mode": MEAN}


def test_large_objects_that_are_made_while_they_are_pickled_stay_in():
    known = PrimedMemo(is_external=lambda value: type(value) is bytearray)
    loaded = pickle.loads(known.dumps(MakesLarge(), c_pickler))
    assert loaded.large == bytearray(1000)
    assert loaded.mode is MEAN
    assert known.external == []


def test_nothing_is_in_the_way_of_buffers_that_go_beside():
    large = bytearray(100)
    begun, taken = [], []

    def beside():
        begun.append(taken.clear())
        return taken.append

    data = PrimedMemo().dumps([pickle.PickleBuffer(large), MEAN], c_pickler, beside)
    buffer, mean = pickle.Unpickler(BytesIO(data), buffers=taken).load()
    assert (bytes(buffer), len(taken), len(begun)) == (bytes(large), 1, 2)
    assert mean is MEAN
