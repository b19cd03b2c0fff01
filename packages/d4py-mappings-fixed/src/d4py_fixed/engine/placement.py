"""Which process runs which instance: decided once, before the run, by arithmetic alone.

With processes to spare, PEs that may have more instances get them in turn.  With too few,
neighbours on the graph share a process and hand items over by a call.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from dispel4py.engine.plan import Ancestors, Plan, PlannedPE
from dispel4py.workflow_graph import WorkflowGraph

Instance = tuple[int, int]


@dataclass(frozen=True)
class Placement:
    """A plan and its place in the processes.

    Attributes:
        plan: the plan, with the final number of instances of each PE.
        ranks: number of processes.
        rank_of: (PE number, instance) → rank.
    """

    plan: Plan
    ranks: int
    rank_of: dict[Instance, int]

    def instances_on(self, rank: int) -> list[Instance]:
        """What a rank runs, upstream first."""
        position = {pe: i for i, pe in enumerate(self.plan.order)}
        own = [instance for instance, owner in self.rank_of.items() if owner == rank]
        return sorted(own, key=lambda instance: (position[instance[0]], instance[1]))

    def describe(self, rank: int) -> str:
        """What a rank runs, as it stands in messages."""
        own = self.instances_on(rank)
        return ", ".join(f"{self.plan.pes[pe].id} (instance {i})" for pe, i in own)


def place(
    plan: Plan, processes: int | None, partitions: Sequence[Sequence[int]] | None = None
) -> Placement:
    """Place all instances of a plan.

    Args:
        plan: the plan.
        processes: number of processes to use at the most; None is one per instance.
        partitions: lists of PE numbers that should share a process when there are fewer processes
            than instances; PEs in none of them are shared out by the mapping.
    """
    plan = share_calls(plan)
    wanted = sum(pe.instances for pe in plan.pes)
    processes = wanted if processes is None else processes
    if processes > wanted:
        plan = _spread(plan, processes - wanted)
    groups = [[(pe, i)] for pe in plan.order for i in range(plan.pes[pe].instances)]
    if processes < len(groups) and partitions:
        groups = _grouped(plan, partitions)
    # Neighbours in topological order share a rank; each rank gets a like number of instances.
    total = sum(len(group) for group in groups)
    ranks = min(processes, len(groups))
    rank_of: dict[Instance, int] = {}
    rank = placed = 0
    for number, group in enumerate(groups):
        left = len(groups) - number
        if number and (placed * ranks >= total * (rank + 1) or left < ranks - rank):
            rank += 1
        for instance in group:
            rank_of[instance] = rank
        placed += len(group)
    return Placement(plan, rank + 1, rank_of)


def share_calls(plan: Plan) -> Plan:
    """Return the plan; a root has `numprocesses` instances if they can share its calls."""
    return replace(
        plan,
        pes=tuple(
            replace(pe, instances=int(pe.pe.numprocesses)) if pe.has_independent_calls else pe
            for pe in plan.pes
        ),
    )


def may_multiply(pe: PlannedPE) -> bool:
    """More instances of it would go unnoticed: it has one, keeps no state and has no life cycle."""
    return not (
        (pe.is_root and not pe.has_independent_calls)
        or pe.stateful
        or pe.instances != 1
        or pe.pe.single
        or pe.has_preprocess
        or pe.has_postprocess
    )


def _spread(plan: Plan, spare: int) -> Plan:
    """Deal spare processes out, in turn, to the PEs that may have more instances."""
    takers = [pe.index for pe in plan.pes if may_multiply(pe)]
    if not takers:
        return plan
    each, some = divmod(spare, len(takers))
    more = {pe: each + (i < some) for i, pe in enumerate(takers)}
    return replace(
        plan,
        pes=tuple(replace(pe, instances=pe.instances + more.get(pe.index, 0)) for pe in plan.pes),
    )


def _grouped(plan: Plan, partitions: Sequence[Sequence[int]]) -> list[list[Instance]]:
    """Instances by partition, in the order of the most upstream PE of each; the rest one by one."""
    partition_of = {pe: number for number, part in enumerate(partitions) for pe in part}
    groups: dict[int | Instance, list[Instance]] = {}
    for pe in plan.order:
        for i in range(plan.pes[pe].instances):
            groups.setdefault(partition_of.get(pe, (pe, i)), []).append((pe, i))
    return list(groups.values())


def rank_pairs(placement: Placement) -> list[tuple[int, int]]:
    """The pairs of ranks that have something to say to each other, the driver included."""
    pairs = {(rank, placement.ranks) for rank in range(placement.ranks)}
    ranks_of: dict[int, set[int]] = {}
    for (pe, _), rank in placement.rank_of.items():
        ranks_of.setdefault(pe, set()).add(rank)
    ancestors = Ancestors(placement.plan)
    for planned in placement.plan.pes:
        # An ordered input tells its roots when they are too far ahead.
        held_up = {root.index for root in placement.plan.roots if planned.ordered}
        for source in {*planned.upstream} | (held_up & ancestors[planned.index]):
            for a in ranks_of[source]:
                pairs |= {(min(a, b), max(a, b)) for b in ranks_of[planned.index] if a != b}
    return sorted(pairs)


def peers_of(placement: Placement) -> list[list[int]]:
    """The same by rank, the driver last."""
    peers: list[list[int]] = [[] for _ in range(placement.ranks + 1)]
    for a, b in rank_pairs(placement):
        peers[a].append(b)
        peers[b].append(a)
    return peers


def wanted_partitions(plan: Plan, graph: WorkflowGraph, *, simple: bool) -> list[list[int]] | None:
    """Which PEs should share a process: under `simple` all but roots, else as the graph says."""
    if simple:
        parts = [[pe.index for pe in plan.pes if pe.is_root is root] for root in (True, False)]
        return [part for part in parts if part]
    partitions = graph.flatten().partitions
    if not partitions:
        return None
    number = {id(pe.pe): pe.index for pe in plan.pes}
    return [[number[id(pe)] for pe in part if id(pe) in number] for part in partitions]
