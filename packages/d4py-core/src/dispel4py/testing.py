"""`feed`, by which tests of a PE give it items and get what it sends.

A PE is fed in a run of the mapping `simple`, so all that a run does is done: preprocess and
postprocess, `write`, groupings, item ids, batches, ordered inputs and checks.

    >>> from dispel4py import IterativePE
    >>> class Letters(IterativePE):
    ...     def _process(self, word):
    ...         for letter in word:
    ...             self.write("output", letter)
    >>> feed(Letters(), ["of", "a"])
    {'output': ['o', 'f', 'a']}
"""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any

from dispel4py.core import GenericPE
from dispel4py.errors import InputError, ProcessingError
from dispel4py.running import run
from dispel4py.workflow_graph import WorkflowGraph


class _Source(GenericPE):
    """A root with an output for each input of a PE; each call sends what it is called with."""

    def __init__(self, pe: GenericPE) -> None:
        super().__init__()
        for name in pe.inputconnections:
            self.add_output(name)

    def process(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """Return the inputs."""
        return inputs


def feed(
    pe: GenericPE,
    items: Iterable[Any] | int,
    *,
    instances: int = 1,
    strict: bool = True,
    seed: int = 0,
) -> dict[str, list[Any]]:
    """Give items to a PE in a run of its own, and return what it sends.  The PE is not changed.

    Args:
        pe: the PE.
        items: for a PE with one input, the items.  For one with several, dicts of an input and its
            item, in the order in which they are to arrive.  For a root, dicts of the run's inputs,
            or the number of calls.
        instances: number of instances; groupings choose the one that an item goes to.
        strict: True raises an error if the PE keeps state without declaring it.
        seed: seed of the random numbers that the PE draws.

    Returns:
        Output name → items that were sent there, in order; an empty list for an output to which
        nothing was sent.

    Raises:
        Exception: whatever the PE raises, with a note that names the item.
        UndeclaredStateError: the PE keeps state without declaring it, and `strict` is true.
        UsageError: the PE cannot run, or the items are not as described above.
    """
    pe = copy.copy(pe)
    pe.numprocesses = instances
    graph = WorkflowGraph()
    graph.add(pe)
    root, calls = pe, items
    if pe.inputconnections:
        if isinstance(items, int):
            raise InputError(f"{pe.name} has inputs, so feed() needs items for them, not {items}")
        root = _Source(pe)
        for name in pe.inputconnections:
            graph.connect(root, name, pe, name)
        if len(pe.inputconnections) == 1:
            calls = [{name: item} for item in items]
    raised: BaseException | None = None
    try:
        result = run(graph, inputs={root: calls}, strict=strict, seed=seed)
    except ProcessingError as error:
        raised = error.__cause__
        if raised is None or error.pe_id != f"{pe.name}0":
            raise
        raised.add_note(str(error))
    if raised is not None:
        raise raised  # here, where no other exception becomes its context
    outputs = result.outputs.get(f"{pe.name}0", {})
    return {name: outputs.get(name, []) for name in pe.outputconnections}
