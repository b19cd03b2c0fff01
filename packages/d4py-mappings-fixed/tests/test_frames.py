"""Frames as bytes and back."""

import os
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from d4py_fixed.engine.frames import (
    RESULTS,
    Calls,
    Credit,
    Done,
    Items,
    LogLine,
    ProgressReport,
    Results,
    Shutdown,
    from_parts,
    to_parts,
)
from dispel4py.errors import ItemError, ProcessingError
from dispel4py.result import Failure, InstanceStats


def travelled(frame):
    """The frame after a journey; its parts arrive as new writable memory."""
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
        assert travelled(frame) == frame


@pytest.mark.parametrize(
    "frame",
    [
        Calls(0, 10**12, last=False),
        Credit(RESULTS, 0),
        Done(4),
        LogLine("A0", 2, "żółw"),
        ProgressReport([InstanceStats("A0", 1, 5, 0.5)], ended=True),
        Shutdown(),
    ],
    ids=lambda frame: type(frame).__name__,
)
def test_all_frames_travel(frame):
    assert travelled(frame) == frame


def test_c3_failures_travel_with_item_and_traceback():
    failure = Failure(ProcessingError("A0", 1, "process", "7", "ValueError: no", "Traceback …"), 7)
    (arrived,) = travelled(Results([], [failure])).failures
    assert str(arrived) == str(failure)
    assert arrived.item == 7
    assert arrived.error.user_traceback == "Traceback …"


def test_m2_large_arrays_travel_beside_the_pickle_and_can_be_written_to():
    numpy = pytest.importorskip("numpy")
    arrays = [numpy.arange(100_000), numpy.ones((300, 300)).T, numpy.zeros(10)]
    parts = to_parts(Items(0, 0, "input", arrays))
    assert [len(bytes(part)) for part in parts[1:]] == [800_000, 720_000]
    assert len(parts[0]) < 2000, "the small one is inside"
    received = travelled(Items(0, 0, "input", arrays)).items
    for array, was in zip(received, arrays, strict=True):
        assert (array == was).all()
        array[0] += 1
    assert arrays[0][0] == 0


def test_m2_a_read_only_array_arrives_writable():
    numpy = pytest.importorskip("numpy")
    array = numpy.arange(100_000)
    array.flags.writeable = False
    (received,) = travelled(Items(0, 0, "input", [array])).items
    received[0] = 7
    assert (received[0], array[0]) == (7, 0)


def test_m2_what_pickle_refuses_is_carried_by_dill():
    n = 3
    arrived = travelled(Items(0, 0, "input", [lambda x: x + n, 1])).items
    assert arrived[0](4) == 7
    assert arrived[1] == 1


def test_m2_an_array_beside_a_lambda_travels_too():
    numpy = pytest.importorskip("numpy")
    array = numpy.arange(100_000)
    function, received = travelled(Items(0, 0, "input", [lambda: 5, array])).items
    assert function() == 5
    assert (received == array).all()


def test_bytes_are_not_looked_into():
    # Whatever stands in an item stays data.
    inner = pickle.dumps(Done(1))
    assert travelled(Items(0, 0, "input", [inner])).items == [inner]


def test_an_item_that_cannot_be_carried_is_told():
    with pytest.raises(ItemError, match="generator"):
        to_parts(Items(0, 0, "input", [(x for x in ())]))


class Homesick:
    """Can be made again in its own process only."""

    def __reduce__(self):
        return _at_home, (-os.getpid(),)


def _at_home(pid):
    if pid != os.getpid():
        raise LookupError("not at home")


def test_an_item_that_cannot_be_made_again_is_told():
    parts = to_parts(Items(0, 0, "input", [Homesick()]))
    with pytest.raises(ItemError, match=r"cannot be made again .*LookupError: not at home"):
        from_parts(parts)
