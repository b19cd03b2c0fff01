"""Frames: encoding and decoding."""

import pickle
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from d4py_fixed.engine.frames import (
    RESULTS,
    Activity,
    Calls,
    Credit,
    InstanceDone,
    Items,
    LogLine,
    PauseRoots,
    RankEnded,
    Results,
    Shutdown,
    from_parts,
    to_parts,
)
from dispel4py.engine.execution.metering import MeterReport
from dispel4py.errors import ItemError, ProcessingError
from dispel4py.result import Failure, InstanceStats


def transmitted(frame):
    """Return the frame, encoded and decoded; its parts arrive as new writable memory."""
    return from_parts([bytearray(part) for part in to_parts(frame)])


VALUES = st.recursive(
    st.none() | st.integers() | st.text() | st.binary(max_size=100) | st.floats(allow_nan=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.lists(VALUES, max_size=5))
def test_m2_items_arrive_as_they_were_sent(items):
    for frame in (
        Items(3, 1, "input", items),
        Calls(0, [{"input": item} for item in items], last=True),
        Results([("A0", "output", items)], []),
    ):
        assert transmitted(frame) == frame


@pytest.mark.parametrize(
    "frame",
    [
        Calls(0, 10**12, last=False),
        Credit(RESULTS, 0),
        InstanceDone(4),
        PauseRoots(2, 0, (0, 1)),
        Activity(MeterReport(1, "host", 7, [], [], [("A0", 3)])),
        LogLine("A0", 2, "żółw"),
        RankEnded([InstanceStats("A0", 1, 5, 0.5)]),
        Shutdown(),
    ],
    ids=lambda frame: type(frame).__name__,
)
def test_all_frames_can_be_encoded(frame):
    arrived = transmitted(frame)
    assert arrived == frame
    assert type(arrived) is type(frame)


def test_c3_failures_keep_item_and_traceback():
    failure = Failure(ProcessingError("A0", 1, "process", "7", "ValueError: no", "Traceback …"), 7)
    (arrived,) = transmitted(Results([], [failure])).failures
    assert str(arrived) == str(failure)
    assert arrived.item == 7
    assert arrived.error.user_traceback == "Traceback …"


def test_m2_large_arrays_are_parts_of_their_own_and_arrive_writable():
    numpy = pytest.importorskip("numpy")
    arrays = [numpy.arange(100_000), numpy.ones((300, 300)).T, numpy.zeros(10)]
    parts = to_parts(Items(0, 0, "input", arrays))
    assert [len(bytes(part)) for part in parts[1:]] == [800_000, 720_000]
    assert len(parts[0]) < 2000, "the small one is inside"
    received = transmitted(Items(0, 0, "input", arrays)).items
    for array, was in zip(received, arrays, strict=True):
        assert (array == was).all()
        array[0] += 1
    assert arrays[0][0] == 0


def test_m2_a_read_only_array_arrives_writable():
    numpy = pytest.importorskip("numpy")
    array = numpy.arange(100_000)
    array.flags.writeable = False
    (received,) = transmitted(Items(0, 0, "input", [array])).items
    received[0] = 7
    assert (received[0], array[0]) == (7, 0)


def test_m2_items_that_pickle_refuses_are_pickled_by_dill():
    n = 3
    arrived = transmitted(Items(0, 0, "input", [lambda x: x + n, 1])).items
    assert arrived[0](4) == 7
    assert arrived[1] == 1


def test_m2_a_large_array_can_be_sent_with_a_lambda():
    numpy = pytest.importorskip("numpy")
    array = numpy.arange(100_000)
    function, received = transmitted(Items(0, 0, "input", [lambda: 5, array])).items
    assert function() == 5
    assert (received == array).all()


def test_pickled_bytes_in_an_item_stay_bytes():
    inner = pickle.dumps(InstanceDone(1))
    assert transmitted(Items(0, 0, "input", [inner])).items == [inner]


def test_an_item_that_cannot_be_pickled_is_an_error():
    with pytest.raises(ItemError, match="generator"):
        to_parts(Items(0, 0, "input", [(x for x in ())]))


class Unloadable:
    """Cannot be unpickled."""

    def __reduce__(self):
        return _fail, ()


def _fail():
    raise LookupError("not here")


class Exits:
    """Ends the program that unpickles it."""

    def __reduce__(self):
        return sys.exit, ("not here",)


@pytest.mark.parametrize("item", [Unloadable(), Exits()])
def test_an_item_that_cannot_be_unpickled_is_an_error(item):
    parts = to_parts(Items(0, 0, "input", [item]))
    with pytest.raises(
        ItemError, match=r"cannot be unpickled .*(LookupError|SystemExit): not here"
    ):
        from_parts(parts)
