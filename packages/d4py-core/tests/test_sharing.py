"""Arrays are handed on without a copy only where nobody can notice."""

from __future__ import annotations

from typing import Any

import pytest

from dispel4py import IterativePE, ProducerPE, WorkflowGraph, run

np = pytest.importorskip("numpy")


class Ones(ProducerPE):
    """Sends a new array per call."""

    def _process(self, inputs: dict[str, Any]) -> Any:
        return np.ones(8)


class Act(IterativePE):
    """Does something with each array; `kept` holds on to what the action says."""

    def __init__(self, action: Any) -> None:
        super().__init__()
        self.action = action
        self.kept: list[Any] = []

    def _process(self, data: Any) -> Any:
        return self.action(self, data)

    def _postprocess(self) -> None:
        for array in self.kept:
            np.add(array, 100, out=array)


def same(pe: Act, data: Any) -> Any:
    return data


def in_place(pe: Act, data: Any) -> Any:
    data += 1
    return data


def new(pe: Act, data: Any) -> Any:
    return data + 1


def keep_and_return(pe: Act, data: Any) -> Any:
    pe.kept.append(data)
    return data


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
def test_m2_what_a_pe_keeps_of_an_array_it_sent_is_its_own(action: Any, calls: int) -> None:
    graph = WorkflowGraph()
    act, keep = Act(action), Keep(keep_only)
    graph.connect(Ones(), "output", act, "input")
    graph.connect(act, "output", keep, "input")
    value = ACTIONS[action]
    assert run(graph, inputs=calls).outputs == {"Keep2": {"output": [(value, value)] * calls}}


@pytest.mark.parametrize("action", ACTIONS, ids=lambda action: action.__name__)
def test_m2_siblings_never_share_an_array(action: Any) -> None:
    graph = WorkflowGraph()
    act, spoiler, keep = Act(action), Act(in_place), Keep(keep_only)
    graph.connect(Ones(), "output", act, "input")
    graph.connect(act, "output", spoiler, "input")
    graph.connect(act, "output", keep, "input")
    outputs = run(graph, inputs=5).outputs
    value = ACTIONS[action]
    assert outputs["Keep3"] == {"output": [(value, value)] * 5}
    assert [float(array.min()) for array in outputs["Act2"]["output"]] == [value + 1] * 5


def test_a_new_array_is_not_copied() -> None:
    addresses: list[int] = []

    def remember(pe: Act, data: Any) -> Any:
        made = data + 1
        addresses.append(made.ctypes.data)
        return made

    seen: list[int] = []
    graph = WorkflowGraph()
    act = Act(remember)
    graph.connect(Ones(), "output", act, "input")
    run(
        graph,
        inputs=3,
        on_result=lambda pe, output, data: seen.append(data.ctypes.data),
    )
    assert seen == addresses
