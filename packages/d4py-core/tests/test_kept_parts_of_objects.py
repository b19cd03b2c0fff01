"""What a PE keeps of an object with a large array that it has sent is its own (rule M2)."""

from __future__ import annotations

import functools
import pickle
import weakref
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any, ClassVar, NamedTuple

import pytest
from core_helpers.batch_graphs import outputs_of
from core_helpers.keeping_pes import InDicts, Keeping

from dispel4py import ProducerPE, WorkflowGraph, run

np = pytest.importorskip("numpy")

#: Numbers of an array that is large enough.
COUNT = 1 << 16


class Signal:
    """An object that holds an array by way of others."""

    def __init__(self, array: Any) -> None:
        self.station = "LUGO"
        self.parts: Any = [{"array": array}, ()]

    @property
    def array(self) -> Any:
        return self.parts[0]["array"]


class Box(NamedTuple):
    """A kind of item that has an array in it.

    Attributes:
        put: returns an item with an array, which is the item's own.
        get: returns the array of an item.
    """

    put: Callable[[Any], Any]
    get: Callable[[Any], Any]


def frame(array: Any) -> Any:
    import pandas

    return pandas.DataFrame({"a": array, "b": np.arange(COUNT)})


def values(item: Any) -> Any:
    """Return the numbers of a frame's column; pandas 3 gives out a read-only view of them."""
    return of_array(item["a"].to_numpy())


def of_array(view: Any) -> Any:
    array = view.view()
    base = view
    while not array.flags.writeable:
        base = base.base
        flat = np.frombuffer(base, float) if not isinstance(base, np.ndarray) else base
        array = flat.reshape(-1)[:COUNT]
    return array


BOXES = {
    "object": Box(Signal, lambda item: item.array),
    "object in a dict": Box(lambda array: {"it": Signal(array)}, lambda item: item["it"].array),
    "masked": Box(lambda array: np.ma.masked_less(array, 0.0), lambda item: item.data),
    "fields": Box(lambda array: array.view([("x", "f8")]), lambda item: item["x"]),
    "frame": Box(frame, values),
    "frame in a list": Box(lambda array: [frame(array), 1], lambda item: values(item[0])),
}
needs_pandas = pytest.mark.skipif(find_spec("pandas") is None, reason="pandas is not installed")
each_box = pytest.mark.parametrize(
    "box",
    [
        pytest.param(box, id=name, marks=[needs_pandas] if "frame" in name else [])
        for name, box in BOXES.items()
    ],
)


class Make(ProducerPE):
    """Sends a new item per call."""

    def __init__(self, box: Box) -> None:
        super().__init__()
        self.box = box

    def _process(self, inputs: dict[str, Any]) -> Any:
        return self.box.put(np.ones(COUNT))


class Send(Keeping):
    """Sends each item on, or a new one.

    Args:
        box: what the items are.
        keep: returns what is kept, given the item that is sent and its array.
        is_new: a new item is sent.
    """

    def __init__(self, box: Box, keep: Callable[[Any, Any], Any], is_new: bool) -> None:
        super().__init__(None)
        self.box = box
        self.keep = keep
        self.is_new = is_new

    def _process(self, data: Any) -> Any:
        if self.is_new:
            data = self.box.put(self.box.get(data) * 1.0)
        kept = self.keep(data, self.box.get(data))
        if kept is not None:
            self.kept.append(kept)
        return data

    def _postprocess(self) -> None:
        for kept in self.kept:
            array = kept() if callable(kept) else kept
            if array is None:
                continue
            if type(array) is not np.ndarray or array.dtype.names:
                array = self.box.get(array)
            array += 100.0


class SendInDicts(Send, InDicts):
    """Does the same in a `process` of its own."""


class Sum(Keeping):
    """Keeps what it gets until everything upstream was changed; then sends lowest and highest."""

    def __init__(self, box: Box) -> None:
        super().__init__(None)
        self.box = box

    def _process(self, data: Any) -> None:
        self.kept.append(data)

    def _postprocess(self) -> None:
        for data in self.kept:
            array = self.box.get(data)
            self.write("output", (float(array.min()), float(array.max())))


def nothing(item: Any, array: Any) -> Any:
    return None


def the_item(item: Any, array: Any) -> Any:
    return item


def the_array(item: Any, array: Any) -> Any:
    return array


def a_view(item: Any, array: Any) -> Any:
    return array[5:]


def a_memoryview(item: Any, array: Any) -> Any:
    view = memoryview(array)
    return lambda: np.frombuffer(view, float)


def a_closure(item: Any, array: Any) -> Any:
    return lambda: array


def a_generator(item: Any, array: Any) -> Any:
    def wait() -> Any:
        held = array
        yield
        yield held

    waiting = wait()
    next(waiting)
    return lambda: next(waiting)


def a_weak_reference_to_the_array(item: Any, array: Any) -> Any:
    return weakref.ref(array)


def a_part_of_the_item(item: Any, array: Any) -> Any:
    if isinstance(item, Signal):
        parts = item.parts
        return lambda: parts[0]["array"]
    inner = next(iter(item.values())) if isinstance(item, dict) else None
    return None if inner is None else lambda: inner.array


def a_weak_reference_to_the_item(item: Any, array: Any) -> Any:
    if not isinstance(item, Signal):
        return None
    known = weakref.ref(item)
    return lambda: getattr(known(), "array", None)


def its_vars(item: Any, array: Any) -> Any:
    if isinstance(item, dict | list | np.ndarray):
        return None
    kind, kept = type(item), vars(item)

    def find() -> Any:
        found = kind.__new__(kind)
        vars(found).update(kept)
        return found

    return find


def the_values_of_its_vars(item: Any, array: Any) -> Any:
    if not isinstance(item, Signal):
        return None
    kept = vars(item).values()
    return lambda: [*kept][1][0]["array"]


KEEPS = [
    nothing,
    the_item,
    the_array,
    a_view,
    a_memoryview,
    a_closure,
    a_generator,
    a_weak_reference_to_the_array,
    a_part_of_the_item,
    a_weak_reference_to_the_item,
    its_vars,
    the_values_of_its_vars,
]
each_kind = pytest.mark.parametrize("kind", [Send, SendInDicts])
new_or_passed_on = pytest.mark.parametrize("is_new", [True, False], ids=["new", "passed on"])


@pytest.mark.parametrize("keep", KEEPS, ids=lambda keep: keep.__name__)
@new_or_passed_on
@each_kind
@each_box
def test_m2_what_a_pe_keeps_of_an_object_it_sent_is_its_own(
    keep: Any, is_new: bool, kind: type[Send], box: Box
) -> None:
    assert outputs_of(Make(box), kind(box, keep, is_new), Sum(box), inputs=3) == [(1.0, 1.0)] * 3


class FromPool:
    """An object whose memory is used again once it is garbage, as camera drivers have them."""

    pool: ClassVar[list[Any]] = []

    def __init__(self) -> None:
        self.array = self.pool.pop() if self.pool else np.empty(COUNT)

    def __del__(self) -> None:
        self.pool.append(self.array)


class Lease:
    """Gives memory back when it is called."""

    def __init__(self, pool: list[Any], array: Any) -> None:
        self.pool = pool
        self.array = array

    def __call__(self, known: Any) -> None:
        self.pool.append(self.array)


class FromPoolByCallback:
    """The same by the callback of a weak reference to something that only the object has."""

    pool: ClassVar[list[Any]] = []

    def __init__(self) -> None:
        self.array = self.pool.pop() if self.pool else np.empty(COUNT)
        self.token = Signal(None)
        self.known = weakref.ref(self.token, Lease(self.pool, self.array))

    def __getstate__(self) -> Any:
        return {"array": self.array}


@pytest.mark.parametrize("kind", [FromPool, FromPoolByCallback])
def test_m2_memory_that_an_object_gives_back_at_its_end_is_copied(
    kind: Any, monkeypatch: Any
) -> None:
    monkeypatch.setattr(kind, "pool", [])

    class Grab(ProducerPE):
        number = 0

        def _process(self, inputs: dict[str, Any]) -> Any:
            made = kind()
            made.array[:] = self.number
            self.number += 1
            return made

    box = Box(lambda array: None, lambda item: item.array)
    assert outputs_of(Grab(), Sum(box), inputs=4) == [(float(i), float(i)) for i in range(4)]


def test_m2_two_arrays_of_one_memory_are_apart_in_a_copy() -> None:
    class Twice(ProducerPE):
        def _process(self, inputs: dict[str, Any]) -> Any:
            made = Signal(np.ones(COUNT))
            made.parts.append(made.array[:])
            return made

    def change_one(item: Any, array: Any) -> None:
        array += 1

    box = Box(Signal, lambda item: item.array)
    (item,) = outputs_of(Twice(), Send(box, change_one, is_new=False))

    assert (item.array[0], item.parts[2][0]) == (2.0, 1.0)


class Known(Signal):
    """An object that knows its array by a weak reference, too."""

    def __init__(self, array: Any) -> None:
        super().__init__(array)
        self.known = [weakref.ref(array)]

    def __getstate__(self) -> Any:
        return {"parts": self.parts, "known": []}


def test_m2_what_is_kept_of_an_object_may_lead_to_its_array_by_a_weak_reference() -> None:
    def keep_known(item: Any, array: Any) -> Any:
        known = item.known

        def find() -> Any:
            return known[0]()

        return find

    box = Box(Known, lambda item: item.array)
    assert outputs_of(Make(box), Send(box, keep_known, is_new=True), Sum(box)) == [(1.0, 1.0)]


class Cached:
    """An object that pickles its memory by a buffer that it has ready."""

    def __init__(self, array: Any) -> None:
        self.array = array
        self.buffer = pickle.PickleBuffer(array)

    def __reduce_ex__(self, protocol: Any) -> Any:
        return from_buffer, (self.buffer,)


def from_buffer(buffer: Any) -> Cached:
    return Cached(np.frombuffer(buffer, float))


class Mobile(np.ndarray[Any, Any]):
    """Samples of a station that moves: `base` is where the one stands that does not."""

    place: Any = None
    base = property(lambda array: array.place)  # type: ignore[assignment]

    def __reduce_ex__(self, protocol: Any) -> Any:
        return mobile, (pickle.PickleBuffer(self),)


def mobile(memory: Any) -> Any:
    made: Any = np.frombuffer(memory, float).view(Mobile)
    made.place = np.zeros(COUNT)
    return made


@pytest.mark.parametrize(
    ("box", "keep"),
    [
        pytest.param(
            Box(Cached, lambda item: item.array),
            lambda item, array: functools.partial(np.frombuffer, item.buffer),
            id="its buffer",
        ),
        pytest.param(
            Box(mobile, lambda item: item.view(np.ndarray)),
            lambda item, array: np.ndarray.base.__get__(item),
            id="what it is a view of",
        ),
    ],
)
@new_or_passed_on
def test_m2_what_a_pe_keeps_of_the_memory_of_an_object_is_its_own(
    box: Box, keep: Any, is_new: bool
) -> None:
    assert outputs_of(Make(box), Send(box, keep, is_new), Sum(box), inputs=3) == [(1.0, 1.0)] * 3


class Labelled(np.ndarray[Any, Any]):
    """An array that unpickles to itself from memory that is its own, as Python's docs propose."""

    label: Any

    def __reduce_ex__(self, protocol: Any) -> Any:
        return labelled, (pickle.PickleBuffer(self), self.label)


def labelled(memory: Any, label: Any) -> Any:
    with memoryview(memory) as view:
        found = view.obj
    if type(found) is not Labelled:
        found = np.frombuffer(memory, float).view(Labelled)
        found.label = label
    return found


def test_m2_what_a_pe_keeps_of_an_array_that_unpickles_to_itself_is_its_own() -> None:
    class Label(Keeping):
        def _process(self, data: Any) -> Any:
            made = np.ndarray.__new__(Labelled, COUNT)
            made.label = ["LUGO"]
            self.kept.append(made.label)
            return made

        def change(self, kept: Any) -> None:
            kept.append("changed")

    class Read(Keeping):
        def _process(self, data: Any) -> None:
            self.kept.append(data)

        def change(self, kept: Any) -> None:
            self.write("output", kept.label)

    box = Box(Signal, lambda item: item.array)
    assert outputs_of(Make(box), Label(None), Read(None)) == [["LUGO"]]


@pytest.mark.parametrize("is_writable", [True, False], ids=["writable", "read-only"])
def test_m2_an_array_in_an_object_arrives_writable(is_writable: bool) -> None:
    class Flagged(ProducerPE):
        def _process(self, inputs: dict[str, Any]) -> Any:
            made = Signal(np.ones(COUNT))
            made.array.setflags(write=is_writable)
            return made

    graph = WorkflowGraph()
    graph.add(Flagged())
    (item,) = run(graph).outputs["Flagged0"]["output"]
    item.array[:] = 3.0


@pytest.mark.parametrize("put", [lambda array: array, Signal], ids=["alone", "object"])
def test_a_small_part_of_an_array_does_not_keep_all_of_its_memory(put: Any) -> None:
    class Part(ProducerPE):
        def _process(self, inputs: dict[str, Any]) -> Any:
            return put(np.ones(4 * COUNT)[:COUNT])

    graph = WorkflowGraph()
    graph.add(Part())
    (item,) = run(graph).outputs["Part0"]["output"]
    memory = item if put is not Signal else item.array
    largest = 0
    while memory is not None:
        largest = max(largest, memoryview(memory).nbytes)
        memory = memory.obj if isinstance(memory, memoryview) else getattr(memory, "base", None)

    assert largest == 8 * COUNT
