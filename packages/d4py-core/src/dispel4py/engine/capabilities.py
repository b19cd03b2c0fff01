"""`Capabilities` of mappings, and the refusal of plans that need more (rule D1).

A mapping declares its capabilities as a class attribute.  It has to refuse a plan that needs others
before anything starts; `refusal` returns the reason.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

from dispel4py.engine.grouping import ALL, GLOBAL, GROUP_BY
from dispel4py.engine.plan import Plan
from dispel4py.errors import name_list


@dataclass(frozen=True)
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
        shares_calls: several processes make the calls of a root with ``independent_calls = True``.
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
    groupings: list[set[str]] = [set() for _ in plan.pes]
    for pe in plan.pes:
        for routes in pe.routes.values():
            for route in routes:
                groupings[route.destination].add(route.grouping.kind)
    lines: list[str] = []
    for pe, kinds in zip(plan.pes, groupings, strict=True):
        if not capabilities.stateful and not pe.is_root and pe.stateful:
            lines.append(f"{pe.id} is stateful: {' and '.join(pe.stateful_because)}")
            continue
        if not capabilities.ordered and pe.ordered:
            lines.append(f"{pe.id} has an ordered input: {name_list(pe.ordered)}")
        if not capabilities.broadcast and ALL in kinds:
            lines.append(f"{pe.id} has an input with the grouping 'all'")
        if not capabilities.group_by and kinds & {GROUP_BY, GLOBAL}:
            lines.append(f"{pe.id} has an input that is grouped")
        if not capabilities.lifecycle and (pe.has_preprocess or pe.has_postprocess):
            lines.append(f"{pe.id} has a preprocess or a postprocess")
    return "; ".join(lines) or None
