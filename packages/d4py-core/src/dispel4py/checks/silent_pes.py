"""PEs that got items and sent none, as the statistics of a run show: perhaps for want of a return.

Nothing is counted for this while a run goes on.  A PE counts as silent if nothing that it feeds got
an item; where something else feeds that too, it is given the benefit of the doubt.
"""

from __future__ import annotations

from collections.abc import Iterator

from dispel4py.base import ConsumerPE, IterativePE, ProducerPE, SimpleFunctionPE
from dispel4py.checks.methods import is_ours
from dispel4py.core import GenericPE, make_pe_id
from dispel4py.result import RunResult
from dispel4py.workflow_graph import WorkflowGraph, flatten

_HANDS_ON = (GenericPE, IterativePE, ProducerPE, ConsumerPE)


def silent_pes(graph: WorkflowGraph, result: RunResult, *, streamed: bool) -> Iterator[str]:
    """Yield one sentence for each PE that got items and sent none, though outputs are connected.

    Also for each PE of an author's own class that overrides nothing that is called with items.

    Args:
        graph: the graph.
        result: what its run has given back.
        streamed: its results were streamed out, so that it is not known which there were.
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
        and is_ours(pe, "process", _HANDS_ON)
        and is_ours(pe, "_process", (GenericPE,))
    )


def _question(pe: GenericPE) -> str:
    if isinstance(pe, SimpleFunctionPE) and is_ours(pe, "_process", (SimpleFunctionPE,)):
        return "does its function return what it should send?"
    if is_ours(pe, "process", (IterativePE, ProducerPE)):
        return "does its _process() return what it should send?"
    output = next(iter(pe.outputconnections))
    return (
        f"does its process() return what it should send, such as {{{output!r}: data}}, or write it"
        " with self.write()?"
    )
