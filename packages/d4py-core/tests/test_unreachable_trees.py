"""Lists, dicts and tuples with others inside are handed on without a copy if nobody can notice."""

from __future__ import annotations

from collections import OrderedDict, deque
from functools import cache
from typing import Any

import pytest
from core_helpers.keeping_pes import InDicts, Keeping, keep_and_return, needs_counts, same

from dispel4py import IterativePE, ProducerPE, WorkflowGraph, run


def new() -> dict[str, Any]:
    """Return an item that a flat copy would not do for."""
    return {
        "rows": [{"values": [float(n), 1.0], "place": (47.5, 8.25)} for n in range(6)],
        "tags": ["raw"],
        "pairs": ([1], {"a": (2, [3])}),
    }


class Make(ProducerPE):
    """Sends a new item per call."""

    def _process(self, inputs: dict[str, Any]) -> Any:
        return new()


class Act(Keeping):
    """Does something with each item; `kept` holds on to what the action says."""

    def change(self, kept: Any) -> None:
        spoil(kept)


class ActInDicts(Act, InDicts):
    """Does the same in a `process` of its own."""


each_kind = pytest.mark.parametrize("kind", [Act, ActInDicts])


def keep_a_part(pe: Act, data: Any) -> Any:
    pe.kept.append(data["rows"][2]["values"])
    return data


def keep_a_dict(pe: Act, data: Any) -> Any:
    pe.kept.append(data["rows"][0])
    return data


def keep_a_tuple(pe: Act, data: Any) -> Any:
    pe.kept.append(data["pairs"])
    return data


def keep_an_iterator(pe: Act, data: Any) -> Any:
    pe.kept.append(iter(data["rows"]))
    return data


def keep_a_view(pe: Act, data: Any) -> Any:
    pe.kept.append(data["rows"][1].values())
    return data


def keep_a_function(pe: Act, data: Any) -> Any:
    rows = data["rows"]
    pe.kept.append(lambda: rows)
    return data


def keep_a_method(pe: Act, data: Any) -> Any:
    pe.kept.append(data["tags"].append)
    return data


def put_into_what_is_kept(pe: Act, data: Any) -> Any:
    pe.kept = pe.kept or [[]]
    data["tags"] = pe.kept[0]
    return data


def return_a_part(pe: Act, data: Any) -> Any:
    pe.kept.append(data)
    return {"rows": data["rows"], "tags": data["tags"], "pairs": data["pairs"]}


def return_attributes(pe: Act, data: Any) -> Any:
    class Record:
        pass

    record = Record()
    vars(record).update(data)
    pe.kept.append(record)
    return vars(record)


@cache
def remembered() -> dict[str, Any]:
    return new()


def return_what_is_remembered(pe: Act, data: Any) -> Any:
    pe.kept.append(remembered())
    return remembered()


KEEPING = [
    *(same, keep_and_return, keep_a_part, keep_a_dict, keep_a_tuple, keep_an_iterator, keep_a_view),
    *(keep_a_function, keep_a_method, put_into_what_is_kept, return_a_part, return_attributes),
    return_what_is_remembered,
]


def spoil(kept: Any) -> None:
    """Put something else into every container that something leads to."""
    if callable(kept):
        kept = kept() if kept.__name__ == "<lambda>" else kept.__self__
    if isinstance(kept, dict | list):
        for value in kept.values() if isinstance(kept, dict) else kept[:]:
            spoil(value)
        if isinstance(kept, dict):
            kept["spoilt"] = True
        else:
            kept.append("spoilt")
    elif hasattr(kept, "__dict__"):
        spoil(vars(kept))
    elif not isinstance(kept, str | float | int):
        for value in kept:
            spoil(value)


class Keep(IterativePE):
    """Keeps what it gets until the end, when everything upstream was changed."""

    def __init__(self) -> None:
        super().__init__()
        self.got: list[Any] = []

    def _process(self, data: Any) -> None:
        self.got.append(data)

    def _postprocess(self) -> None:
        for item in self.got:
            self.write("output", "spoilt" not in repr(item))


@pytest.mark.parametrize("action", KEEPING, ids=lambda action: action.__name__)
@each_kind
@pytest.mark.parametrize("instances", [1, 3])
def test_m2_what_a_pe_keeps_of_a_nested_item_is_its_own(
    action: Any, kind: type[Act], instances: int
) -> None:
    remembered.cache_clear()
    graph = WorkflowGraph()
    act, keep = kind(action), Keep()
    act.numprocesses = instances
    graph.connect(Make(), "output", act, "input")
    graph.connect(act, "output", keep, "input")
    assert run(graph, inputs=6).outputs == {"Keep2": {"output": [True] * 6}}


@pytest.mark.parametrize("action", KEEPING, ids=lambda action: action.__name__)
@each_kind
def test_m2_siblings_never_share_a_nested_item(action: Any, kind: type[Act]) -> None:
    remembered.cache_clear()
    graph = WorkflowGraph()
    act, spoiler, keep = kind(action), Act(lambda pe, data: spoil(data)), Keep()
    graph.connect(Make(), "output", act, "input")
    graph.connect(act, "output", spoiler, "input")
    graph.connect(act, "output", keep, "input")
    assert run(graph, inputs=6).outputs == {"Keep3": {"output": [True] * 6}}


class KeepInputs(ProducerPE):
    """Sends the dict that it is called with, and changes it in the next call."""

    def __init__(self) -> None:
        super().__init__()
        self.last: dict[str, Any] = {}

    def _process(self, inputs: dict[str, Any]) -> Any:
        spoil(self.last)
        inputs.update(new())
        self.last = inputs
        return inputs


@pytest.mark.parametrize("inputs", [6, [{}] * 6], ids=["a number", "dicts"])
def test_m2_what_a_root_keeps_of_its_inputs_is_its_own(inputs: Any) -> None:
    graph = WorkflowGraph()
    graph.connect(KeepInputs(), "output", Keep(), "input")
    assert run(graph, inputs=inputs).outputs == {"Keep1": {"output": [True] * 6}}


def shared_inside() -> Any:
    inner = [1]
    return {"one": inner, "two": [[inner], [2]]}


def endless() -> Any:
    item: list[Any] = [[1], [2]]
    item[0].append(item)
    return item


@pytest.mark.parametrize("make", [shared_inside, endless])
def test_m2_an_object_in_two_places_of_an_item_is_one_object_for_the_receiver(make: Any) -> None:
    class Makes(ProducerPE):
        def _process(self, inputs: dict[str, Any]) -> Any:
            return make()

    def is_one(pe: Act, data: Any) -> bool:
        if make is shared_inside:
            return data["one"] is data["two"][0][0]
        return data[0][1] is data

    graph = WorkflowGraph()
    act = Act(is_one)
    graph.connect(Makes(), "output", act, "input")
    assert run(graph, inputs=5).outputs == {"Act1": {"output": [True] * 5}}


class Names(dict[str, Any]):
    """A dict that may do anything."""


@pytest.mark.parametrize("inner", [OrderedDict, Names, set, deque, bytearray])
def test_m2_items_with_other_containers_inside_are_copied(inner: Any) -> None:
    kept: list[Any] = []

    def make(pe: Act, data: Any) -> Any:
        item = [[[inner()]]]
        kept.append(item[0][0][0])
        return item

    graph = WorkflowGraph()
    graph.connect(Make(), "output", Act(make), "input")
    results = run(graph, inputs=5).outputs["Act1"]["output"]
    assert [result[0][0][0] is mine for result, mine in zip(results, kept, strict=True)] == (
        [False] * 5
    )


@needs_counts
@pytest.mark.parametrize(
    "action",
    [same, lambda pe, data: new(), lambda pe, data: ("key", new())],
    ids=["passed on", "new", "in a pair"],
)
@each_kind
def test_a_nested_item_is_not_copied_once_the_first_was(action: Any, kind: type[Act]) -> None:
    def id_of_a_part(item: Any) -> int:
        found = item[1] if isinstance(item, tuple) else item
        return id(found["rows"][3]["values"])

    ids: list[int] = []

    def remember(pe: Act, data: Any) -> Any:
        made = action(pe, data)
        ids.append(id_of_a_part(made))
        return made

    seen: list[int] = []
    graph = WorkflowGraph()
    graph.connect(Make(), "output", kind(remember), "input")
    run(
        graph,
        inputs=5,
        on_result=lambda pe, output, data: seen.append(id_of_a_part(data)),
    )
    assert seen[1:] == ids[1:]
