"""Paths: numbers of the edges that lead to ordered inputs.

An edge with the grouping ``"all"`` has a path for each instance.  An item that takes several paths
to the same ordered input has one place after the other there.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING

from dispel4py.errors import GraphError

if TYPE_CHECKING:
    from dispel4py.engine.planning.plan import PlannedPE, Route


def with_places(pes: Sequence[PlannedPE], order: Sequence[int]) -> list[PlannedPE]:
    """Return PEs with their ordered inputs, and the paths to these inputs.

    Args:
        pes: all PEs of a plan, by number.
        order: their numbers, each after all that feed it.

    Raises:
        GraphError: a PE on a path does what is not compatible with an order.
    """
    if not any(route.ordered for pe in pes for route in _routes(pe)):
        return [*pes]
    leads = _lead_to_ordered(pes, order)
    found = _with_paths(pes, order, leads)
    inputs = [_inputs(found, i) for i in range(len(found))]
    found = [
        replace(
            pe,
            ordered=inputs[i],
            has_places=leads[i] or bool(inputs[i]),
            paths=_paths_to(found, order, i) if inputs[i] else {},
        )
        for i, pe in enumerate(found)
    ]
    if problems := [*_problems(found)]:
        raise GraphError(problems)
    return found


def _lead_to_ordered(pes: Sequence[PlannedPE], order: Sequence[int]) -> list[bool]:
    """Return whether each PE leads to an ordered input."""
    leads = [False] * len(pes)
    for i in reversed(order):
        leads[i] = any(route.ordered or leads[route.destination] for route in _routes(pes[i]))
    return leads


def _with_paths(
    pes: Sequence[PlannedPE], order: Sequence[int], leads: Sequence[bool]
) -> list[PlannedPE]:
    """Return PEs with their positions, and the paths of the edges that lead to ordered inputs."""
    found = [*pes]
    next_path = 0
    for position, i in enumerate(order):
        routes: dict[str, tuple[Route, ...]] = {}
        for output, edges in pes[i].routes.items():
            routes[output] = ()
            for route in edges:
                numbered = route
                if route.ordered or leads[route.destination]:
                    numbered = route._replace(path=next_path)
                    next_path += len(_paths(numbered, pes))
                routes[output] += (numbered,)
        found[i] = replace(pes[i], routes=routes, position=position)
    return found


def _inputs(pes: Sequence[PlannedPE], i: int) -> tuple[str, ...]:
    routes = (route for pe in pes for route in _routes(pe))
    names = {route.input: None for route in routes if route.destination == i and route.ordered}
    return tuple(names)


def _paths_to(
    pes: Sequence[PlannedPE], order: Sequence[int], target: int
) -> dict[int, tuple[int, bool]]:
    """Return the paths to a PE, for its `ReorderBuffer`."""
    found: dict[int, tuple[int, bool]] = {}
    leads = [False] * len(pes)
    for i in reversed(order):
        paths: list[list[int]] = []
        for route in _routes(pes[i]):
            if route.destination == target and route.ordered:
                paths.append(_paths(route, pes))  # each instance of the target sees one of them
            elif leads[route.destination]:
                paths += [[path] for path in _paths(route, pes)]
        leads[i] = bool(paths)
        for index, same in enumerate(paths):
            found |= dict.fromkeys(same, (index, index == len(paths) - 1))
    return found


def _paths(route: Route, pes: Sequence[PlannedPE]) -> list[int]:
    count = pes[route.destination].instances if route.grouping.kind == "all" else 1
    return [*range(route.path, route.path + count)]


def _problems(pes: Sequence[PlannedPE]) -> Iterable[str]:
    for pe in pes:
        if pe.has_places and pe.with_ids:
            yield (
                f"{pe.id} has, or leads to, an ordered input, and also has, or leads to a PE with,"
                " item_ids = True: items travel either in order or with their ids"
            )
        if pe.has_places and pe.has_independent_calls:
            yield (
                f"{pe.id} leads to an ordered input, so it cannot have independent_calls = True:"
                " its calls have to be made in order"
            )
        if pe.has_places and pe.seeks:
            yield (
                f"{pe.id} has, or leads to, an ordered input, so it cannot have seeks = True:"
                " leave it out, and a call that is repeated begins at its beginning"
            )


def _routes(pe: PlannedPE) -> Iterable[Route]:
    return chain.from_iterable(pe.routes.values())
