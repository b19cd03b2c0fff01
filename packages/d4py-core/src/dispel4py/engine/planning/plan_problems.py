"""Problems of a graph that prevent a run."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from numbers import Integral
from typing import Any

from dispel4py.checks.batches import batch_problems
from dispel4py.checks.methods import method_problems
from dispel4py.core import OPTIONAL
from dispel4py.engine.planning.grouping import grouping_of
from dispel4py.errors import name_list
from dispel4py.workflow_graph import WorkflowGraph


def find_problems(flat: WorkflowGraph, pes: Sequence[Any], ids: Sequence[str]) -> list[str]:
    """Return all problems of a flattened graph, except cycles.

    Args:
        flat: the graph.
        pes: its PEs, by number.
        ids: their ids.
    """
    number_of = {id(pe): i for i, pe in enumerate(pes)}
    return [
        *_id_problems(pes, ids),
        *_pe_problems(pes, ids),
        *_edge_problems(flat, number_of, ids),
        *_input_problems(flat, number_of, ids),
        *_root_problems(flat, pes, ids),
    ]


def _id_problems(pes: Sequence[Any], ids: Sequence[str]) -> Iterable[str]:
    if not pes:
        yield "the graph is empty: add() a PE or connect() two"
    seen: dict[str, int] = {}
    for i, pe_id in enumerate(ids):
        if pe_id in seen:
            yield (
                f"PEs number {seen[pe_id]} and {i} both get the id {pe_id!r}: give one of them"
                " another name"
            )
        seen[pe_id] = i


def _pe_problems(pes: Sequence[Any], ids: Sequence[str]) -> Iterable[str]:
    for pe, pe_id in zip(pes, ids, strict=True):
        if not isinstance(pe.numprocesses, Integral) or pe.numprocesses < 1:
            yield (
                f"{pe_id} has numprocesses = {pe.numprocesses!r}; it must be a whole number of at"
                " least 1"
            )
        yield from method_problems(pe, pe_id)
        yield from batch_problems(pe, pe_id)


def _edge_problems(
    flat: WorkflowGraph, number_of: dict[int, int], ids: Sequence[str]
) -> Iterable[str]:
    for edge in flat.edges:
        source, destination = ids[number_of[id(edge.source)]], ids[number_of[id(edge.destination)]]
        if edge.output not in edge.source.outputconnections:
            yield (
                f"{source} has no output {edge.output!r}"
                f" (outputs: {name_list(list(edge.source.outputconnections))})"
            )
        if edge.input not in edge.destination.inputconnections:
            yield (
                f"{destination} has no input {edge.input!r}"
                f" (inputs: {name_list(list(edge.destination.inputconnections))})"
            )
            continue
        try:
            grouping_of(edge.destination, edge.input)
        except ValueError as error:
            yield f"input {edge.input!r} of {destination} has {error}"


def _input_problems(
    flat: WorkflowGraph, number_of: dict[int, int], ids: Sequence[str]
) -> Iterable[str]:
    connected: dict[int, set[str]] = {}
    for edge in flat.edges:
        connected.setdefault(number_of[id(edge.destination)], set()).add(edge.input)
    pes: list[Any] = flat.get_contained_objects()
    for i, pe in enumerate(pes):
        for name, settings in pe.inputconnections.items():
            if i in connected and name not in connected[i] and not settings.get(OPTIONAL):
                yield (
                    f"input {name!r} of {ids[i]} is not connected, though others of its inputs"
                    " are: connect it, or declare it with optional=True"
                )


def _root_problems(flat: WorkflowGraph, pes: Sequence[Any], ids: Sequence[str]) -> Iterable[str]:
    fed = {id(edge.destination) for edge in flat.edges}
    for pe, pe_id in zip(pes, ids, strict=True):
        if id(pe) in fed or pe.independent_calls is not True:
            continue
        for name in ("single", "stateful"):
            if getattr(pe, name):
                yield (
                    f"{pe_id} has independent_calls = True, so that workers may share its calls,"
                    f" and {name} = {getattr(pe, name)!r}, so that they may not: remove one of the"
                    " two"
                )
