"""Placement: which process runs which instance, computed once, before the run.

Where there are more processes than instances, PEs that accept more instances get them in turn.
Where there are fewer, neighbours on the graph share a process and pass items on by a call, rather
than instances of one PE, which are there to work at the same time.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from dataclasses import replace
from itertools import chain
from typing import NamedTuple

from dispel4py.engine.planning.grouping import SHUFFLE
from dispel4py.engine.planning.plan import Ancestors, Plan, PlannedPE
from dispel4py.workflow_graph import WorkflowGraph

Instance = tuple[int, int]


class Placement(NamedTuple):
    """A plan, and the process of each instance.

    Attributes:
        plan: the plan, with the final number of instances of each PE.
        ranks: number of processes.
        rank_of: (PE number, instance) → rank.
    """

    plan: Plan
    ranks: int
    rank_of: dict[Instance, int]

    def instances_on(self, rank: int) -> list[Instance]:
        """Return the instances of a rank, upstream first."""
        position = {pe: i for i, pe in enumerate(self.plan.order)}
        placed = [instance for instance, at in self.rank_of.items() if at == rank]
        return sorted(placed, key=lambda instance: (position[instance[0]], instance[1]))

    def ranks_of(self, pes: Container[int]) -> set[int]:
        """Return the ranks that run instances of some PEs."""
        return {rank for (pe, _), rank in self.rank_of.items() if pe in pes}

    def shared_inputs(self, rank: int) -> dict[tuple[int, str], list[int]]:
        """Return the inputs that a rank feeds in other ranks, where any instance may have any item.

        An input of a PE that keeps state or is postprocessed is left out, so that what each
        instance has received is the same in every run.

        Returns:
            (PE number, input) → instances in other ranks, of inputs with several.
        """
        found: dict[tuple[int, str], list[int]] = {}
        for pe in dict.fromkeys(pe for pe, _ in reversed(self.instances_on(rank))):
            for route in chain.from_iterable(self.plan.pes[pe].routes.values()):
                number, receiver = route.destination, self.plan.pes[route.destination]
                keeps_items = receiver.stateful or receiver.has_postprocess
                if route.grouping.kind == SHUFFLE and not keeps_items:
                    found[number, route.input] = [
                        instance
                        for instance in range(receiver.instances)
                        if self.rank_of[number, instance] != rank
                    ]
        return {place: instances for place, instances in found.items() if len(instances) > 1}

    def describe(self, rank: int) -> str:
        """Return the names of a rank's instances, for messages."""
        instances = self.instances_on(rank)
        return ", ".join(f"{self.plan.pes[pe].id} (instance {i})" for pe, i in instances)


def place(
    plan: Plan,
    processes: int | None,
    partitions: Sequence[Sequence[int]] | None = None,
    accepts_more: Callable[[PlannedPE], bool] | None = None,
) -> Placement:
    """Place all instances of a plan.

    Args:
        plan: the plan.
        processes: maximum number of processes; None for one per instance.
        partitions: lists of PE numbers that should share a process when there are fewer processes
            than instances; other PEs are distributed one by one.
        accepts_more: returns whether a PE may have more instances than it asks for; None for
            `accepts_more_instances`.
    """
    plan = share_calls(plan)
    wanted = sum(pe.instances for pe in plan.pes)
    processes = wanted if processes is None else processes
    if processes > wanted:
        plan = _spread(plan, processes - wanted, accepts_more or accepts_more_instances)
    groups = [[(pe, i)] for pe in plan.order for i in range(plan.pes[pe].instances)]
    if processes < len(groups) and partitions:
        groups = _grouped(plan, partitions)
    rank_of = _assign_ranks(groups, processes)
    return Placement(plan, max(rank_of.values(), default=0) + 1, rank_of)


def _assign_ranks(groups: Sequence[Sequence[Instance]], processes: int) -> dict[Instance, int]:
    """Return the rank of each instance: neighbours in topological order share a rank.

    Ranks get about the same number of instances; the instances of a group share a rank.  Where a
    rank may have one instance less than others, that is used to part two instances of one PE, which
    in one process would take turns.
    """
    total = sum(len(group) for group in groups)
    ranks = min(processes, len(groups))
    most = -(-total // ranks) if ranks else 0
    rank_of: dict[Instance, int] = {}
    rank = placed = here = 0
    for number, group in enumerate(groups):
        if number:
            others = ranks - rank - 1
            full = here >= most or placed * ranks >= total * (rank + 1)
            needed = len(groups) - number <= others
            may_end = here >= total // ranks and total - placed <= others * most
            if full or needed or (may_end and group[0][0] == groups[number - 1][0][0]):
                rank, here = rank + 1, 0
        rank_of |= dict.fromkeys(group, rank)
        placed += len(group)
        here += len(group)
    return rank_of


def share_calls(plan: Plan) -> Plan:
    """Return the plan; a root has `numprocesses` instances if they can share its calls."""
    return replace(
        plan,
        pes=tuple(
            replace(pe, instances=int(pe.pe.numprocesses)) if pe.has_independent_calls else pe
            for pe in plan.pes
        ),
    )


def accepts_more_instances(pe: PlannedPE) -> bool:
    """Return whether more instances of a PE have no visible effect.

    That is so for a PE with one instance, without state and without pre- and postprocess.
    """
    return not (
        (pe.is_root and not pe.has_independent_calls)
        or pe.stateful
        or pe.instances != 1
        or pe.pe.single
        or pe.has_preprocess
        or pe.has_postprocess
    )


def _spread(plan: Plan, spare: int, accepts_more: Callable[[PlannedPE], bool]) -> Plan:
    """Distribute spare processes, in turn, to the PEs that accept more instances."""
    candidates = [pe.index for pe in plan.pes if accepts_more(pe)]
    if not candidates:
        return plan
    each, rest = divmod(spare, len(candidates))
    more = {pe: each + (i < rest) for i, pe in enumerate(candidates)}
    return replace(
        plan,
        pes=tuple(replace(pe, instances=pe.instances + more.get(pe.index, 0)) for pe in plan.pes),
    )


def _grouped(plan: Plan, partitions: Sequence[Sequence[int]]) -> list[list[Instance]]:
    """Return instances by partition, in the order of the most upstream PE; others one by one."""
    partition_of = {pe: number for number, part in enumerate(partitions) for pe in part}
    groups: dict[int | Instance, list[Instance]] = {}
    for pe in plan.order:
        for i in range(plan.pes[pe].instances):
            groups.setdefault(partition_of.get(pe, (pe, i)), []).append((pe, i))
    return list(groups.values())


def rank_pairs(placement: Placement) -> list[tuple[int, int]]:
    """Return the pairs of ranks that exchange frames, the driver included."""
    pairs = {(rank, placement.ranks) for rank in range(placement.ranks)}
    ranks_of: dict[int, set[int]] = {}
    for (pe, _), rank in placement.rank_of.items():
        ranks_of.setdefault(pe, set()).add(rank)
    ancestors = Ancestors(placement.plan)
    observing = {pe.index for pe in placement.plan.pes if observes_pauses(pe)}
    for planned in placement.plan.pes:
        paused = observing & ancestors[planned.index] if planned.ordered else set()
        for source in {*planned.upstream} | paused:
            for a in ranks_of[source]:
                pairs |= {(min(a, b), max(a, b)) for b in ranks_of[planned.index] if a != b}
    return sorted(pairs)


def observes_pauses(pe: PlannedPE) -> bool:
    """Return whether a PE upstream of an ordered input has to know that roots are too far ahead.

    A root pauses then; and items that wait for others, to become a batch, wait no longer.
    """
    return pe.is_root or (pe.batch is not None and pe.batch.waits)


def peers_of(placement: Placement) -> list[list[int]]:
    """Return the peers of each rank, with which it exchanges frames; the driver is last."""
    peers: list[list[int]] = [[] for _ in range(placement.ranks + 1)]
    for a, b in rank_pairs(placement):
        peers[a].append(b)
        peers[b].append(a)
    return peers


def wanted_partitions(plan: Plan, graph: WorkflowGraph, *, simple: bool) -> list[list[int]] | None:
    """Return which PEs should share a process: all but roots if `simple`, else the graph's own."""
    if simple:
        return _roots_and_others(plan)
    partitions = graph.flatten().partitions
    if not partitions:
        return None
    number = {id(pe.pe): pe.index for pe in plan.pes}
    return [[number[id(pe)] for pe in part if id(pe) in number] for part in partitions]


def _roots_and_others(plan: Plan) -> list[list[int]]:
    """Return the PEs in at most two lists: the roots, and all others."""
    parts = [[pe.index for pe in plan.pes if pe.is_root is root] for root in (True, False)]
    return [part for part in parts if part]
