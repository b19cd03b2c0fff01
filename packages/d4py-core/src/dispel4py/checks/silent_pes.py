"""PEs that got items and sent none, perhaps because a return is missing.

They are found in the statistics of a finished run.  A PE counts as silent if no PE downstream of it
got an item; one whose receivers also get items from other PEs does not count.
"""

from __future__ import annotations

from collections.abc import Iterator
from types import FunctionType

from dispel4py.base import ConsumerPE, IterativePE, ProducerPE, SimpleFunctionPE
from dispel4py.checks.methods import is_inherited
from dispel4py.core import GenericPE, make_pe_id, overrides_batch
from dispel4py.object_types import is_of_type
from dispel4py.result import RunResult
from dispel4py.workflow_graph import WorkflowGraph, flatten

#: Misspelt name of a method → the name of the one that a run calls.
_MISSPELT = {
    wrong: right
    for right in ("preprocess", "postprocess")
    for wrong in (f"{right[:-7]}_process", f"_{right[:-7]}_process", f"{right[:-7]}Process")
}
_BASES = (GenericPE, IterativePE, ProducerPE, ConsumerPE)


def silent_pes(graph: WorkflowGraph, result: RunResult, *, streamed: bool) -> Iterator[str]:
    """Yield a sentence for each PE that got items and sent none, though outputs are connected.

    A PE whose class overrides none of `process`, `_process` and `_process_batch` is reported too.

    Args:
        graph: the graph.
        result: the result of its run.
        streamed: results went to `on_result`, so they are not in `result`.
    """
    flow = _Flow(graph, result, streamed=streamed)
    for name, pe in flow.pes.items():
        yield from _misspelt(name, pe)
    failed = {failure.pe_id for failure in result.failures}
    for name, pe in flow.pes.items():
        count = flow.counts.get(name, 0)
        if not count or name in failed:
            continue
        got = _got(name, count, is_root=flow.is_root(name))
        if _does_nothing(pe):
            yield (
                f"{got} and did nothing:"
                f" {type(pe).__name__} overrides neither _process() nor process()"
            )
        elif flow.is_silent(name):
            yield f"{got} and sent none: {_question(pe)}"


class _Flow:
    """The edges of a graph, and how many items the PEs of a run got by them.

    Args:
        graph: the graph.
        result: the result of its run.
        streamed: results are not in `result`.

    Attributes:
        pes: the PEs, by id.
        counts: number of the calls of each PE that was called.
    """

    def __init__(self, graph: WorkflowGraph, result: RunResult, *, streamed: bool) -> None:
        self._result = result
        self._streamed = streamed
        self.counts = result.stats.items_per_pe()
        flat, _ = flatten(graph)
        pes = [pe for pe in flat.get_contained_objects() if isinstance(pe, GenericPE)]
        self.pes = {make_pe_id(pe, i): pe for i, pe in enumerate(pes)}
        names = {id(pe): name for name, pe in self.pes.items()}
        self._receivers: dict[str, set[str]] = {name: set() for name in self.pes}
        self._connected: dict[str, set[str]] = {name: set() for name in self.pes}
        for edge in flat.edges:
            self._receivers[names[id(edge.source)]].add(names[id(edge.destination)])
            self._connected[names[id(edge.source)]].add(edge.output)
        self._fed = set().union(*self._receivers.values())

    def is_root(self, name: str) -> bool:
        """Return whether no edge leads to a PE."""
        return name not in self._fed

    def is_silent(self, name: str) -> bool:
        """Return whether outputs of a PE are connected and none of its items arrived anywhere."""
        receivers = self._receivers[name]
        return bool(receivers) and not (
            any(self.counts.get(receiver) for receiver in receivers)
            or any(self._result.outputs.get(name, {}).values())
            or (self._streamed and self._has_unconnected_output(name))
        )

    def _has_unconnected_output(self, name: str) -> bool:
        return not set(self.pes[name].outputconnections) <= self._connected[name]


def _got(name: str, count: int, *, is_root: bool) -> str:
    what = "call" if is_root else "item"
    return f"{name} got {count} {what}{'' if count == 1 else 's'}"


def _does_nothing(pe: GenericPE) -> bool:
    is_the_authors = not type(pe).__module__.startswith("dispel4py.")
    return (
        is_the_authors
        and not overrides_batch(pe)
        and is_inherited(pe, "process", _BASES)
        and is_inherited(pe, "_process", (GenericPE,))
    )


def _misspelt(name: str, pe: GenericPE) -> Iterator[str]:
    """Yield a sentence for each method that looks like one which a run calls, and is not called."""
    # A base class may call what the class of the PE defines.
    members = [it for kind in type(pe).__mro__ for it in vars(kind).values()]
    functions = [it for it in members if is_of_type(it, FunctionType)]
    used = {word for function in functions for word in function.__code__.co_names}
    for wrong in dict.fromkeys(function.__name__ for function in functions):
        meant = _MISSPELT.get(wrong)
        if meant is not None and wrong not in used:
            yield f"{name}: {wrong}() was not called; did you mean {meant}()?"


def _question(pe: GenericPE) -> str:
    if isinstance(pe, SimpleFunctionPE) and is_inherited(pe, "_process", (SimpleFunctionPE,)):
        return "does its function return what it should send?"
    if overrides_batch(pe):
        return "does its _process_batch() return a list of what it should send?"
    if is_inherited(pe, "process", (IterativePE, ProducerPE)):
        return "does its _process() return what it should send?"
    output = next(iter(pe.outputconnections))
    return (
        f"does its process() return what it should send, such as {{{output!r}: data}}, or write it"
        " with self.write()?"
    )
