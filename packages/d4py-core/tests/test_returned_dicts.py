"""What `process` of a PE with one output returns in a dict is sent, whatever else it may be."""

from __future__ import annotations

from typing import Any

import pytest

from dispel4py import WorkflowGraph, run
from dispel4py.core import GenericPE
from dispel4py.errors import ProcessingError, UnknownOutputError


class Numbers(GenericPE):
    """Sends a list with the number of the call."""

    def __init__(self) -> None:
        super().__init__()
        self._add_output("numbers")
        self.calls = 0

    def process(self, inputs: dict[str, Any]) -> dict[str, Any]:
        self.calls += 1
        return {"numbers": [self.calls]}


class Answer(GenericPE):
    """Returns what a function makes of the dict that it gets."""

    stateful = True

    def __init__(self, answer: Any) -> None:
        super().__init__()
        self._add_input("item")
        self._add_input("other")
        self._add_output("item")
        self.answer = answer
        self.kept: Any = None

    def process(self, inputs: dict[str, Any]) -> Any:
        return self.answer(self, inputs)


def results_of(answer: Any) -> list[Any]:
    """Return what comes of two calls by each input."""
    graph = WorkflowGraph()
    pe = Answer(answer)
    graph.connect(Numbers(), "numbers", pe, "item")
    graph.connect(Numbers(), "numbers", pe, "other")
    outputs = run(graph, inputs=2).outputs
    return sorted(outputs.get("Answer1", {}).get("item", []), key=repr)


def keep_the_dict(pe: Answer, inputs: dict[str, Any]) -> Any:
    if pe.kept is None:
        pe.kept = {"item": []}
    pe.kept["item"].append(0)
    return pe.kept


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (
            lambda pe, inputs: {"item": [*inputs.items()]},
            [[("item", [1])], [("item", [2])], [("other", [1])], [("other", [2])]],
        ),
        (lambda pe, inputs: {"item": next(iter(inputs.values()))}, [[1], [1], [2], [2]]),
        (lambda pe, inputs: {"item": None}, [None] * 4),
        (lambda pe, inputs: {"item": 0}, [0] * 4),
        (lambda pe, inputs: {}, []),
        (lambda pe, inputs: None, []),
        (lambda pe, inputs: inputs if "item" in inputs else None, [[1], [2]]),
        (keep_the_dict, [[0] * n for n in (1, 2, 3, 4)]),
    ],
    ids=["both", "same", "None", "0", "empty", "nothing", "inputs", "kept"],
)
def test_what_process_returns_is_sent(answer: Any, expected: list[Any]) -> None:
    assert results_of(answer) == sorted(expected, key=repr)


@pytest.mark.parametrize("more", [{}, {"item": 1}], ids=["alone", "beside another"])
def test_an_output_that_the_pe_has_not_is_refused(more: dict[str, Any]) -> None:
    with pytest.raises(ProcessingError, match="items") as caught:
        results_of(lambda pe, inputs: {"items": 2, **more})
    assert isinstance(caught.value.__cause__, UnknownOutputError)


def test_an_item_that_cannot_be_copied_is_refused_by_the_name_of_its_output() -> None:
    with pytest.raises(ProcessingError, match="item") as caught:
        results_of(lambda pe, inputs: {"item": (number for number in range(3))})
    assert "output 'item'" in str(caught.value)
