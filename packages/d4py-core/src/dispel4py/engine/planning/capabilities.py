"""`Capabilities` of mappings, and the refusal of plans that need more (rule D1).

A mapping declares its capabilities as a class attribute.  It has to refuse a plan that needs others
before anything starts; `refusal` returns the reason.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

from dispel4py.engine.planning.grouping import ALL, GLOBAL, GROUP_BY
from dispel4py.engine.planning.plan import Plan, PlannedPE
from dispel4py.errors import name_list


@dataclass(frozen=True, eq=False)
class Capabilities:
    """What a mapping can run, as it declares.

    Attributes:
        stateful: runs PEs that keep state.
        group_by: runs inputs grouped by keys or ``"global"``.
        broadcast: runs inputs grouped ``"all"``.
        ordered: runs ordered inputs.
        lifecycle: calls preprocess and postprocess.
        any_pickle: sends all objects that pickle or dill can pickle.
        survives_worker_death: continues when a worker process is killed.
        multi_host: workers may be on other machines.
        bounded_memory: a fast producer waits for a slow consumer.
        shares_calls: several instances make the calls of a root with ``independent_calls = True``.
    """

    stateful: bool = False
    group_by: bool = False
    broadcast: bool = False
    ordered: bool = False
    lifecycle: bool = True
    any_pickle: bool = True
    survives_worker_death: bool = False
    multi_host: bool = False
    bounded_memory: bool = True
    shares_calls: bool = False

    def declared(self) -> list[str]:
        """Return the names of the declared capabilities."""
        return [entry.name for entry in fields(self) if getattr(self, entry.name)]


def refusal(plan: Plan, capabilities: Capabilities) -> str | None:
    """Return why a mapping with these capabilities cannot run a plan; None if it can."""
    kinds = _grouping_kinds(plan)
    lines = [line for pe in plan.pes for line in _unsupported(pe, kinds[pe.index], capabilities)]
    return "; ".join(lines) or None


def _grouping_kinds(plan: Plan) -> list[set[str]]:
    """Return the kinds of grouping of the inputs of each PE, by number."""
    kinds: list[set[str]] = [set() for _ in plan.pes]
    for pe in plan.pes:
        for routes in pe.routes.values():
            for route in routes:
                kinds[route.destination].add(route.grouping.kind)
    return kinds


def _unsupported(pe: PlannedPE, kinds: set[str], capabilities: Capabilities) -> list[str]:
    """Return what a PE needs and a mapping with these capabilities does not have."""
    if not capabilities.stateful and not pe.is_root and pe.stateful:
        return [f"{pe.id} is stateful: {' and '.join(pe.stateful_because)}"]
    needs = (
        (pe.ordered, capabilities.ordered, f"has an ordered input: {name_list(pe.ordered)}"),
        (ALL in kinds, capabilities.broadcast, "has an input with the grouping 'all'"),
        (kinds & {GROUP_BY, GLOBAL}, capabilities.group_by, "has an input that is grouped"),
        (
            pe.has_preprocess or pe.has_postprocess,
            capabilities.lifecycle,
            "has a preprocess or a postprocess",
        ),
    )
    return [
        f"{pe.id} {what}"
        for is_needed, is_supported, what in needs
        if is_needed and not is_supported
    ]
