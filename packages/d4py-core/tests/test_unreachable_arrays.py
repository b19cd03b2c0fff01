"""Arrays, alone or in containers, are handed on without a copy only where nobody can notice."""

from __future__ import annotations

import ctypes
import weakref
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from core_helpers.keeping_pes import InDicts, Keeping, keep_and_return, needs_counts, same

from dispel4py import ProducerPE, WorkflowGraph, run

np = pytest.importorskip("numpy")


class Box(NamedTuple):
    """A kind of item that has an array in it.

    Attributes:
        put: returns an item with an array.
        get: returns the array of an item.
    """

    put: Callable[[Any], Any]
    get: Callable[[Any], Any]


ALONE = Box(lambda array: array, lambda item: item)
BOXES = {
    "alone": ALONE,
    "in a dict": Box(lambda array: {"data": array, "name": "LUGO"}, lambda item: item["data"]),
    "in a pair": Box(lambda array: ("LUGO", array), lambda item: item[1]),
    "inside": Box(
        lambda array: [{"rows": ([1.5, np.float64(2)], [array, np.zeros(3)])}, {"tags": []}],
        lambda item: item[0]["rows"][1][0],
    ),
}
each_box = pytest.mark.parametrize("box", BOXES.values(), ids=BOXES)


class Ones(ProducerPE):
    """Sends an item with a new array per call."""

    def __init__(self, box: Box = ALONE) -> None:
        super().__init__()
        self.box = box

    def _process(self, inputs: dict[str, Any]) -> Any:
        return self.box.put(np.ones(8))


class Act(Keeping):
    """Does something with each array; `kept` holds on to what the action says.

    Args:
        action: returns the array that is sent, given the PE and the array of an item.
        box: what the items are.
    """

    def __init__(self, action: Any, box: Box = ALONE) -> None:
        super().__init__(action)
        self.box = box

    def _process(self, data: Any) -> Any:
        array = self.action(self, self.box.get(data))
        if array is None:
            return None
        return data if array is self.box.get(data) else self.box.put(array)

    def change(self, kept: Any) -> None:
        change(kept)


class ActInDicts(Act, InDicts):
    """Does the same in a `process` of its own."""


each_kind = pytest.mark.parametrize("kind", [Act, ActInDicts])


def in_place(pe: Act, data: Any) -> Any:
    data += 1
    return data


def new(pe: Act, data: Any) -> Any:
    return data + 1


def keep_new(pe: Act, data: Any) -> Any:
    made = data + 1
    pe.kept.append(made)
    return made


def keep_a_view(pe: Act, data: Any) -> Any:
    made = data + 1
    pe.kept.append(made[2:5])
    return made


def return_a_view_and_keep_its_base(pe: Act, data: Any) -> Any:
    made = data + 1
    pe.kept.append(made)
    return made[2:5]


def return_a_view_of_a_view(pe: Act, data: Any) -> Any:
    made = data + 1
    pe.kept.append(made.reshape(2, 4))
    return made.reshape(4, 2)[1:]


def keep_in_a_buffer(pe: Act, data: Any) -> Any:
    buffer = bytearray(64)
    made = np.frombuffer(buffer)
    made[:] = 2.0
    pe.kept.append(np.frombuffer(buffer))
    return made


def keep_the_view_of_a_buffer(pe: Act, data: Any) -> Any:
    view = memoryview(bytearray(64))
    made = np.frombuffer(view)
    made[:] = 2.0
    pe.kept.append(view)
    return made


def keep_a_part_of_the_view_of_a_buffer(pe: Act, data: Any) -> Any:
    made = np.frombuffer(bytearray(64))
    made[:] = 2.0
    pe.kept.append(made.base[8:16])
    return made


def know_it_by_a_weak_reference(pe: Act, data: Any) -> Any:
    made = data + 1
    pe.kept.append(weakref.ref(made))
    return made


def know_its_base_by_a_weak_reference(pe: Act, data: Any) -> Any:
    made = data + 1
    pe.kept.append(weakref.ref(made))
    return made[2:5]


def know_the_view_of_a_buffer_by_a_weak_reference(pe: Act, data: Any) -> Any:
    made = np.frombuffer(bytearray(64))
    made[:] = 2.0
    pe.kept.append(weakref.ref(made.base))
    return made


def keep_memory_that_numpy_was_not_told_of(pe: Act, data: Any) -> Any:
    memory = (ctypes.c_double * 8)(*[2.0] * 8)
    pe.kept.append(memory)
    return over(memory)


def return_a_view_of_memory_that_numpy_was_not_told_of(pe: Act, data: Any) -> Any:
    return keep_memory_that_numpy_was_not_told_of(pe, data)[2:5]


def over(memory: Any) -> Any:
    """An array over the memory of eight doubles that does not hold it, as extensions make them."""
    capsule = np._core.multiarray._ARRAY_API
    pointer = ctypes.pythonapi.PyCapsule_GetPointer
    pointer.restype, pointer.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    table = (ctypes.c_void_p * 94).from_address(pointer(capsule, None))
    kind, place = ctypes.py_object, ctypes.c_void_p
    number, numbers = ctypes.c_int, ctypes.POINTER(ctypes.c_ssize_t)
    new = ctypes.PYFUNCTYPE(
        *(kind, kind, number, numbers, number, numbers, place, number, number, place)
    )(table[93])
    start, writable, double = ctypes.addressof(memory), 0x0400 | 0x0100 | 0x0001, 12
    return new(np.ndarray, 1, (ctypes.c_ssize_t * 1)(8), double, None, start, 0, writable, None)


def change(kept: Any) -> None:
    """Put other numbers where something that was kept leads to."""
    if isinstance(kept, weakref.ref):
        kept = kept()
    if kept is not None:
        array = np.frombuffer(kept) if not isinstance(kept, np.ndarray) else kept
        np.add(array, 100, out=array)


ACTIONS = {
    same: 1.0,
    in_place: 2.0,
    new: 2.0,
    keep_and_return: 1.0,
    keep_new: 2.0,
    keep_a_view: 2.0,
    return_a_view_and_keep_its_base: 2.0,
    return_a_view_of_a_view: 2.0,
    keep_in_a_buffer: 2.0,
    keep_the_view_of_a_buffer: 2.0,
    keep_a_part_of_the_view_of_a_buffer: 2.0,
    know_it_by_a_weak_reference: 2.0,
    know_its_base_by_a_weak_reference: 2.0,
    know_the_view_of_a_buffer_by_a_weak_reference: 2.0,
    keep_memory_that_numpy_was_not_told_of: 2.0,
    return_a_view_of_memory_that_numpy_was_not_told_of: 2.0,
}


class Keep(Act):
    """Keeps what it gets until the end, when everything upstream was changed."""

    def _postprocess(self) -> None:
        for array in self.kept:
            self.write("output", (float(array.min()), float(array.max())))


def keep_only(pe: Act, data: Any) -> None:
    pe.kept.append(data)


@pytest.mark.parametrize("action", ACTIONS, ids=lambda action: action.__name__)
@pytest.mark.parametrize("calls", [1, 50])
@each_kind
@each_box
def test_m2_what_a_pe_keeps_of_an_array_it_sent_is_its_own(
    action: Any, calls: int, kind: type[Act], box: Box
) -> None:
    graph = WorkflowGraph()
    act, keep = kind(action, box), Keep(keep_only, box)
    graph.connect(Ones(box), "output", act, "input")
    graph.connect(act, "output", keep, "input")
    value = ACTIONS[action]
    assert run(graph, inputs=calls).outputs == {"Keep2": {"output": [(value, value)] * calls}}


@pytest.mark.parametrize("action", ACTIONS, ids=lambda action: action.__name__)
@each_kind
@each_box
def test_m2_siblings_never_share_an_array(action: Any, kind: type[Act], box: Box) -> None:
    graph = WorkflowGraph()
    act, spoiler, keep = kind(action, box), Act(in_place, box), Keep(keep_only, box)
    graph.connect(Ones(box), "output", act, "input")
    graph.connect(act, "output", spoiler, "input")
    graph.connect(act, "output", keep, "input")
    outputs = run(graph, inputs=5).outputs
    value = ACTIONS[action]
    assert outputs["Keep3"] == {"output": [(value, value)] * 5}
    spoilt = [float(box.get(item).min()) for item in outputs["Act2"]["output"]]
    assert spoilt == [value + 1] * 5


@needs_counts
@each_kind
@each_box
@pytest.mark.parametrize("action", [new, same], ids=["new", "passed on"])
def test_an_array_is_not_copied_once_the_first_was(kind: type[Act], box: Box, action: Any) -> None:
    addresses: list[int] = []

    def remember(pe: Act, data: Any) -> Any:
        made = action(pe, data)
        addresses.append(made.ctypes.data)
        return made

    seen: list[int] = []
    graph = WorkflowGraph()
    graph.connect(Ones(box), "output", kind(remember, box), "input")
    run(
        graph,
        inputs=4,
        on_result=lambda pe, output, data: seen.append(box.get(data).ctypes.data),
    )
    copied = 0 if box is ALONE else 1
    assert seen[copied:] == addresses[copied:]


@needs_counts
def test_an_array_over_a_new_buffer_is_not_copied() -> None:
    addresses: list[int] = []

    def read(pe: Act, data: Any) -> Any:
        made = np.frombuffer(bytearray(64)).reshape(2, 4)
        addresses.append(made.ctypes.data)
        return made

    seen: list[int] = []
    graph = WorkflowGraph()
    graph.connect(Ones(), "output", Act(read), "input")
    run(graph, inputs=3, on_result=lambda pe, output, data: seen.append(data.ctypes.data))
    assert seen == addresses


def read_only(pe: Act, data: Any) -> Any:
    made = data + 1
    made.setflags(write=False)
    return made


def read_only_and_kept(pe: Act, data: Any) -> Any:
    pe.kept.append(read_only(pe, data))
    return pe.kept[-1]


def read_only_and_written(pe: Act, data: Any) -> None:
    pe.write("output", read_only(pe, data))


def view_of_bytes(pe: Act, data: Any) -> Any:
    return np.frombuffer((data + 1).tobytes())


@pytest.mark.parametrize(
    "action",
    [read_only, read_only_and_kept, read_only_and_written, view_of_bytes],
    ids=lambda action: action.__name__,
)
def test_m2_a_read_only_array_arrives_writable(action: Any) -> None:
    graph = WorkflowGraph()
    act = Act(action)
    act.postprocess = lambda: None  # type: ignore[method-assign]
    graph.connect(Ones(), "output", act, "input")
    graph.connect(act, "output", Act(in_place), "input")
    outputs = run(graph, inputs=2).outputs
    assert [array.tolist() for array in outputs["Act2"]["output"]] == [[3.0] * 8] * 2


class Rename(Act):
    """Gives other names to the fields of what it gets, and returns the former names."""

    def _process(self, data: Any) -> Any:
        names = data.dtype.names
        data.dtype.names = ("p", "q")
        return names

    def _postprocess(self) -> None:
        pass


@pytest.mark.parametrize("inside", [False, True], ids=["alone", "in a list"])
def test_m2_receivers_do_not_share_the_names_of_fields(inside: bool) -> None:
    pairs = np.dtype([("a", "f8"), ("b", "f8")])

    def make(pe: Act, data: Any) -> Any:
        made = np.zeros(3, pairs)
        return [made] if inside else made

    def take(pe: Act, data: Any) -> Any:
        return data[0] if inside else data

    graph = WorkflowGraph()
    act = Act(make)
    graph.connect(Ones(), "output", act, "input")
    for _ in range(2):
        opened = Act(take)
        graph.connect(act, "output", opened, "input")
        graph.connect(opened, "output", Rename(same), "input")
    outputs = run(graph, inputs=3).outputs
    assert outputs == {name: {"output": [("a", "b")] * 3} for name in ("Rename3", "Rename5")}
    assert pairs.names == ("a", "b")
