"""PEs that got items and sent none, perhaps because a return is missing.

They are found in the statistics of a finished run.  A PE counts as silent if no PE downstream of it
got an item; one whose receivers also get items from other PEs does not count.
"""

from __future__ import annotations

from collections.abc import Iterator

from dispel4py.base import ConsumerPE, IterativePE, ProducerPE, SimpleFunctionPE
from dispel4py.checks.methods import is_inherited
from dispel4py.core import GenericPE, make_pe_id
from dispel4py.result import RunResult
from dispel4py.workflow_graph import WorkflowGraph, flatten

_BASES = (GenericPE, IterativePE, ProducerPE, ConsumerPE)


def silent_pes(graph: WorkflowGraph, result: RunResult, *, streamed: bool) -> Iterator[str]:
    """Yield a sentence for each PE that got items and sent none, though outputs are connected.

    A PE whose class overrides neither `process` nor `_process` is reported too.

    Args:
        graph: the graph.
        result: the result of its run.
        streamed: results went to `on_result`, so they are not in `result`.
    """
    flat, _ = flatten(graph)
    pes = [pe for pe in flat.get_contained_objects() if isinstance(pe, GenericPE)]
    names = {id(pe): make_pe_id(pe, i) for i, pe in enumerate(pes)}
    feeds: dict[str, set[str]] = {name: set() for name in names.values()}
    connected: dict[str, set[str]] = {name: set() for name in names.values()}
    for edge in flat.edges:
        feeds[names[id(edge.source)]].add(names[id(edge.destination)])
        connected[names[id(edge.source)]].add(edge.output)
    fed = {name for receivers in feeds.values() for name in receivers}
    calls = result.stats.items_per_pe()
    failed = {failure.pe_id for failure in result.failures}
    for pe in pes:
        name = names[id(pe)]
        count = calls.get(name, 0)
        if not count or name in failed:
            continue
        if _does_nothing(pe):
            yield (
                f"{_got(name, count, is_root=name not in fed)} and did nothing:"
                f" {type(pe).__name__} overrides neither _process() nor process()"
            )
            continue
        sends_results = not set(pe.outputconnections) <= connected[name]
        has_sent = (
            any(calls.get(receiver) for receiver in feeds[name])
            or any(result.outputs.get(name, {}).values())
            or (streamed and sends_results)
        )
        if feeds[name] and not has_sent:
            yield f"{_got(name, count, is_root=name not in fed)} and sent none: {_question(pe)}"


def _got(name: str, count: int, *, is_root: bool) -> str:
    what = "call" if is_root else "item"
    return f"{name} got {count} {what}{'' if count == 1 else 's'}"


def _does_nothing(pe: GenericPE) -> bool:
    is_the_authors = not type(pe).__module__.startswith("dispel4py.")
    return (
        is_the_authors
        and is_inherited(pe, "process", _BASES)
        and is_inherited(pe, "_process", (GenericPE,))
    )


def _question(pe: GenericPE) -> str:
    if isinstance(pe, SimpleFunctionPE) and is_inherited(pe, "_process", (SimpleFunctionPE,)):
        return "does its function return what it should send?"
    if is_inherited(pe, "process", (IterativePE, ProducerPE)):
        return "does its _process() return what it should send?"
    output = next(iter(pe.outputconnections))
    return (
        f"does its process() return what it should send, such as {{{output!r}: data}}, or write it"
        " with self.write()?"
    )
