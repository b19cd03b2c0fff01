"""PEs that are called with batches, and graphs of them."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from dispel4py import GenericPE, IterativePE, ProducerPE, WorkflowGraph, run

#: What ends a test that would otherwise wait.
LIMIT = 60


class Emit(ProducerPE):
    def __init__(self, items: Any) -> None:
        super().__init__()
        self.items = items

    def _process(self, inputs: Any) -> None:
        for item in self.items:
            self.write("output", item)


class Batched(IterativePE):
    """Calls a function with the PE and the items of a batch, and notes how many these are."""

    ignored_state = ("sizes",)

    def __init__(self, work: Any = lambda pe, items: items) -> None:
        super().__init__()
        self.work = work
        self.sizes: list[int] = []

    def _process_batch(self, items: list[Any]) -> Any:
        self.sizes.append(len(items))
        return self.work(self, items)


def chain(*pes: GenericPE) -> WorkflowGraph:
    graph = WorkflowGraph()
    for source, destination in pairwise(pes):
        graph.connect(source, "output", destination, next(iter(destination.inputconnections)))
    return graph


def outputs_of(*pes: GenericPE, inputs: Any = 1, **options: Any) -> list[Any]:
    """Run a chain, and return what its last PE has sent to its output."""
    result = run(chain(*pes), inputs=inputs, **options)
    return next(iter(result.outputs.values()), {}).get("output", [])


def fail_at(bad: Any, pe: Any, items: list[Any]) -> list[Any]:
    for item in items:
        if item == bad:
            raise ValueError(f"bad {item}")
    return items
