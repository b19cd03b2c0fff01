"""`Plan`: what is known of a run before it starts.

A plan says which instances there are, which instance gets which item, which PEs are stateful and
why, and what is upstream of what.  `make_plan` computes it once, without I/O, and reports all
problems of a graph at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from dispel4py.base import ConsumerPE, IterativePE
from dispel4py.checks.calls import check_graph
from dispel4py.core import ORDERED, GenericPE, make_pe_id
from dispel4py.engine.limits import EngineLimits
from dispel4py.engine.planning.batch_growth import BatchBounds, bounds_of
from dispel4py.engine.planning.grouping import SHUFFLE, Grouping, grouping_of
from dispel4py.engine.planning.ordered_paths import with_places
from dispel4py.engine.planning.plan_problems import find_problems
from dispel4py.engine.random_streams import draw_seed
from dispel4py.errors import GraphError
from dispel4py.workflow_graph import Edge, WorkflowGraph, flatten, topological_order

if TYPE_CHECKING:
    from dispel4py.result import RunOptions


class Route(NamedTuple):
    """One edge of the flattened graph, by the numbers of its PEs.

    Attributes:
        with_ids: items have their ids here, as `dispel4py.engine.items.item_ids.Item`.
        path: number of the path of items with places (`engine.items.places.Placed`); with the
            grouping `ALL` that of the path to instance 0, and the others follow.  -1 if items have
            no places here.
        ordered: the input is ordered.
        receiver: id of the receiving PE, for messages.
    """

    source: int
    output: str
    destination: int
    input: str
    grouping: Grouping
    with_ids: bool = False
    path: int = -1
    ordered: bool = False
    receiver: str = ""


@dataclass(frozen=True)
class PlannedPE:
    """One PE of the flattened graph.

    Attributes:
        index: its number, in the order in which the PEs joined the graph.
        id: ``<name><index>``.
        pe: the PE as the user made it; instances are copies of it.
        instances: number of instances.
        is_root: no input is connected.
        stateful_because: reasons why the PE is stateful; empty if it is stateless.
        routes: output name → edges; an output without edges makes results.
        upstream: numbers of the PEs that feed the PE directly.
        with_ids: items have their ids, since the PE, or one downstream, needs them.
        replicated: instances are replicas, of which each process may have one.
        ordered: names of the ordered inputs that are connected.
        paths: see `dispel4py.engine.items.reorder_buffer.ReorderBuffer`.
        has_places: items that arrive, or leave, have places.
        position: position in the plan's order.
        has_preprocess: `preprocess` is overridden.
        has_postprocess: `postprocess` is overridden.
        reads_input: the input without which the PE cannot be called; None if there is none.
        batch: bounds of the batches that the PE is called with; None if it gets single items.
        factory: makes the PE of an instance; None copies `pe`.
    """

    index: int
    id: str
    pe: GenericPE
    instances: int
    is_root: bool
    stateful_because: tuple[str, ...]
    routes: dict[str, tuple[Route, ...]]
    upstream: tuple[int, ...]
    with_ids: bool = False
    replicated: bool = False
    ordered: tuple[str, ...] = ()
    paths: Mapping[int, tuple[int, bool]] = field(default_factory=dict)
    has_places: bool = False
    position: int = 0
    has_preprocess: bool = False
    has_postprocess: bool = False
    reads_input: str | None = None
    batch: BatchBounds | None = None
    factory: Callable[[], GenericPE] | None = field(default=None, compare=False, repr=False)

    @property
    def stateful(self) -> bool:
        return bool(self.stateful_because)

    @property
    def is_pinned(self) -> bool:
        """Whether each instance lives in one worker, where workers share PEs: it has state."""
        return (self.is_root and not self.has_independent_calls) or self.stateful or self.pe.single

    @property
    def has_independent_calls(self) -> bool:
        """Whether the PE is a root of which any process may make any call."""
        return self.is_root and self.pe.independent_calls is True

    @property
    def is_watched(self) -> bool:
        """Whether several instances may get the calls, so that state would change results."""
        return not self.is_pinned

    def name_of(self, instance: int, rank: int) -> str:
        """Return the name of an instance, the same in all processes; a replica has its rank's."""
        return f"{self.id}@{rank}" if self.replicated else f"{self.id}.{instance}"

    @property
    def needs_ids(self) -> bool:
        """Whether the PE needs the ids of its items."""
        return self.pe.item_ids is True

    @property
    def seeks(self) -> bool:
        """Whether a repeated call of the PE resumes where it was cut off."""
        return self.pe.seeks is True

    @property
    def has_end(self) -> bool:
        """Whether an instance has to be preprocessed or postprocessed."""
        return self.has_preprocess or self.has_postprocess or bool(self.ordered)


@dataclass(frozen=True)
class Plan:
    """A graph, ready to run.

    Attributes:
        pes: all PEs, by number.
        order: numbers of the PEs, each after all that feed it.
        strict: see `dispel4py.RunOptions`.
        seed: the seed of all random numbers.
        limits: limits of the engine in all processes of the run.
    """

    pes: tuple[PlannedPE, ...]
    order: tuple[int, ...]
    strict: bool = False
    seed: int = 0
    limits: EngineLimits = field(default_factory=EngineLimits)

    @property
    def roots(self) -> list[PlannedPE]:
        return [pe for pe in self.pes if pe.is_root]

    @property
    def order_matters(self) -> bool:
        """Whether items can reach a PE by two paths, so that their order depends on timing."""
        arrivals = [0] * len(self.pes)
        for pe in self.pes:
            for routes in pe.routes.values():
                for route in routes:
                    arrivals[route.destination] += 1
        return any(count > 1 for count in arrivals)


def make_plan(
    graph: WorkflowGraph,
    options: RunOptions | None = None,
    limits: EngineLimits = EngineLimits(),
) -> Plan:
    """Plan a graph.

    Args:
        graph: the graph.
        options: options of the run; those that instances need become part of the plan.
        limits: limits of the engine, likewise.

    Raises:
        GraphError: the graph cannot run; every problem is listed.
        TypeError: `graph` is no graph.
    """
    check_graph(graph)
    flat, problems = flatten(graph)
    pes: list[Any] = flat.get_contained_objects()
    ids = [make_pe_id(pe, i) for i, pe in enumerate(pes)]
    problems += find_problems(flat, pes, ids)
    try:
        ordered = topological_order(flat)
    except GraphError as error:
        problems += error.problems
    if problems:
        raise GraphError(problems)
    planner = _Planner(flat, pes, ids, ordered)
    return Plan(
        pes=tuple(with_places(planner.plan_pes(), planner.order)),
        order=tuple(planner.order),
        strict=options is not None and options.strict,
        seed=_seed_of(options),
        limits=limits,
    )


class _Planner:
    """Plans the PEs of a flattened graph without problems.

    Args:
        flat: the graph.
        pes: its PEs, by number.
        ids: their ids.
        ordered: the PEs, each behind all that feed it.
    """

    def __init__(
        self, flat: WorkflowGraph, pes: Sequence[Any], ids: Sequence[str], ordered: Sequence[Any]
    ) -> None:
        self._pes = pes
        self._ids = ids
        number_of = {id(pe): i for i, pe in enumerate(pes)}
        self.order = [number_of[id(pe)] for pe in ordered]
        self._edges = [
            (number_of[id(edge.source)], number_of[id(edge.destination)], edge)
            for edge in flat.edges
        ]
        self._incoming: list[list[tuple[int, Edge]]] = [[] for _ in pes]
        for i, j, edge in self._edges:
            self._incoming[j].append((i, edge))
        self._with_ids = self._find_with_ids()
        self._routes = self._make_routes()

    def plan_pes(self) -> list[PlannedPE]:
        """Return the planned PEs, by number."""
        return [self._plan_pe(i) for i in range(len(self._pes))]

    def _plan_pe(self, i: int) -> PlannedPE:
        pe = self._pes[i]
        upstream = tuple(dict.fromkeys(source for source, _ in self._incoming[i]))
        return PlannedPE(
            index=i,
            id=self._ids[i],
            pe=pe,
            instances=1 if pe.single or not upstream else int(pe.numprocesses),
            is_root=not upstream,
            stateful_because=tuple(dict.fromkeys(self._stateful_reasons(i))),
            routes={name: tuple(routes) for name, routes in self._routes[i].items()},
            upstream=upstream,
            with_ids=self._with_ids[i],
            has_preprocess=_overrides(pe, "preprocess") or _overrides(pe, "_preprocess"),
            has_postprocess=_overrides(pe, "postprocess") or _overrides(pe, "_postprocess"),
            reads_input=_read_input(pe),
            batch=bounds_of(pe),
        )

    def _find_with_ids(self) -> list[bool]:
        """Return for each PE whether it, or a PE downstream, needs the ids of its items."""
        destinations: list[list[int]] = [[] for _ in self._pes]
        for i, j, _ in self._edges:
            destinations[i].append(j)
        found = [pe.item_ids is True for pe in self._pes]
        for i in reversed(self.order):
            found[i] = found[i] or any(found[j] for j in destinations[i])
        return found

    def _make_routes(self) -> list[dict[str, list[Route]]]:
        routes: list[dict[str, list[Route]]] = [
            {name: [] for name in pe.outputconnections} for pe in self._pes
        ]
        for i, j, edge in self._edges:
            pe = self._pes[j]
            route = Route(
                *(i, edge.output, j, edge.input, grouping_of(pe, edge.input), self._with_ids[j]),
                ordered=bool(pe.inputconnections[edge.input].get(ORDERED)),
                receiver=self._ids[j],
            )
            routes[i][edge.output].append(route)
        return routes

    def _stateful_reasons(self, i: int) -> Iterable[str]:
        pe = self._pes[i]
        if pe.stateful:
            yield f"it has stateful = {pe.stateful!r}"
        for _, edge in self._incoming[i]:
            if pe.inputconnections[edge.input].get(ORDERED):
                yield f"its input {edge.input!r} is ordered"
            grouping = grouping_of(pe, edge.input)
            if grouping.kind != SHUFFLE:
                yield f"its input {edge.input!r} has the grouping {grouping}"


def _seed_of(options: RunOptions | None) -> int:
    if options is None:
        return 0
    return draw_seed() if options.seed is None else int(options.seed)


class Ancestors(dict[int, frozenset[int]]):
    """Number of a PE → numbers of all PEs upstream, computed when first needed."""

    def __init__(self, plan: Plan) -> None:
        super().__init__()
        self._plan = plan

    def __missing__(self, pe: int) -> frozenset[int]:
        found: set[int] = set()
        waiting = [pe]
        while waiting:
            sources = set(self._plan.pes[waiting.pop()].upstream) - found
            found |= sources
            waiting += sources
        self[pe] = frozenset(found)
        return self[pe]


def replicate_stateless(plan: Plan) -> Plan:
    """Return a plan for workers that each have a replica of the stateless PEs."""
    return replace(
        plan,
        pes=tuple(
            pe if pe.stateful else replace(pe, instances=1, replicated=not pe.is_pinned)
            for pe in plan.pes
        ),
    )


def _read_input(pe: GenericPE) -> str | None:
    """Return the input without which a PE cannot be called; None if it overrides `process`."""
    for kind in (IterativePE, ConsumerPE):
        if isinstance(pe, kind) and type(pe).process is kind.process:
            return pe.INPUT_NAME
    return None


def _overrides(pe: GenericPE, method: str) -> bool:
    return method in vars(pe) or getattr(type(pe), method) is not getattr(GenericPE, method)
