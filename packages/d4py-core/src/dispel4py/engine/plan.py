"""From a graph to a frozen plan: PEs with their ids, instances, routes and order.

Everything that is decided about a run before it starts is decided here, once, without I/O and
without starting anything: which instance gets which item, which PE is stateful and why, what is
upstream of what.  `make_plan` reports every problem of a graph at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from numbers import Integral
from typing import TYPE_CHECKING, Any

from dispel4py.base import ConsumerPE, IterativePE
from dispel4py.checks.calls import check_graph
from dispel4py.checks.methods import method_problems
from dispel4py.core import GROUPING, OPTIONAL, ORDERED, GenericPE, make_pe_id
from dispel4py.engine.limits import EngineLimits
from dispel4py.engine.ordered.paths import with_places
from dispel4py.engine.random_streams import draw_seed
from dispel4py.errors import GraphError, name_list
from dispel4py.workflow_graph import WorkflowGraph, flatten, topological_order

if TYPE_CHECKING:
    from dispel4py.result import RunOptions

SHUFFLE = "shuffle"
ALL = "all"
GLOBAL = "global"
GROUP_BY = "group_by"


@dataclass(frozen=True, slots=True)
class Grouping:
    """Which instance of a destination gets an item.

    Attributes:
        kind: `SHUFFLE`, `ALL`, `GLOBAL` or `GROUP_BY`.
        keys: for `GROUP_BY`, what of an item must be equal for items to meet.
    """

    kind: str
    keys: tuple[Any, ...] = ()

    def __str__(self) -> str:
        return repr(list(self.keys)) if self.kind == GROUP_BY else repr(self.kind)


@dataclass(frozen=True, slots=True)
class Route:
    """One edge of the flattened graph, by the numbers of its PEs.

    Attributes:
        with_ids: items travel with their ids, as `dispel4py.engine.item_ids.Item`.
        path: items travel with their places, as `engine.ordered.places.Placed`, and this is the
            number of the way that they take here; if the grouping is `ALL`, that of the way to
            instance 0, and the others follow.  -1 if items travel without.
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
    receiver: str = field(default="", compare=False)


@dataclass(frozen=True)
class PlannedPE:
    """One PE of the flattened graph.

    Attributes:
        index: its number, in the order in which the PEs joined the graph.
        id: ``<name><index>``.
        pe: the PE as the user made it; instances are copies of it.
        instances: how many instances it has.
        is_root: it has no connected input.
        stateful_because: why it is stateful, one phrase per reason; empty if it is stateless.
        routes: output name → edges; an output without edges makes results.
        upstream: numbers of the PEs that feed it directly.
        with_ids: its items come with their ids, since it asks for them or feeds one that does.
        replicated: its instances are replicas, of which each process may have one.
        ordered: names of its ordered inputs that are connected.
        paths: for `dispel4py.engine.ordered.reorder_buffer.ReorderBuffer`, if there are any.
        has_places: items come to it, or leave it, with their places.
        position: its position in the plan's order.
        has_preprocess: its author overrode `preprocess`.
        has_postprocess: its author overrode `postprocess`.
        reads_input: the input that it reads, if it cannot be called without.
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
    factory: Callable[[], GenericPE] | None = field(default=None, compare=False, repr=False)

    @property
    def stateful(self) -> bool:
        return bool(self.stateful_because)

    @property
    def is_pinned(self) -> bool:
        """Where workers share PEs, its instances each have one place: it has state, or an order."""
        return (self.is_root and not self.has_independent_calls) or self.stateful or self.pe.single

    @property
    def has_independent_calls(self) -> bool:
        """Whether it is a root of which any process may have any call."""
        return self.is_root and self.pe.independent_calls is True

    @property
    def is_watched(self) -> bool:
        """Whether several instances may have its calls, so that state of its own would show."""
        return not self.is_pinned

    def name_of(self, instance: int, rank: int) -> str:
        """Return the name of an instance, in all processes alike; of a replica, by its process."""
        return f"{self.id}@{rank}" if self.replicated else f"{self.id}.{instance}"

    @property
    def needs_ids(self) -> bool:
        """Whether it needs the ids of its items."""
        return self.pe.item_ids is True

    @property
    def seeks(self) -> bool:
        """A repeated call of it begins where it was cut off."""
        return self.pe.seeks is True

    @property
    def has_end(self) -> bool:
        """Whether there is something to do at the end of an instance, or at its beginning."""
        return self.has_preprocess or self.has_postprocess or bool(self.ordered)


@dataclass(frozen=True)
class Plan:
    """A graph, ready to run.

    Attributes:
        pes: all PEs, by number.
        order: their numbers, each behind all that feed it.
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
        """Items can reach some PE by two ways, so what arrives first depends on the schedule."""
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
        GraphError: it cannot run; every problem is listed.
        TypeError: it is no graph.
    """
    check_graph(graph)
    flat, problems = flatten(graph)
    pes: list[Any] = flat.get_contained_objects()
    position = {id(pe): i for i, pe in enumerate(pes)}
    ids = [make_pe_id(pe, i) for i, pe in enumerate(pes)]
    problems += [
        *_graph_problems(pes, ids),
        *_port_problems(flat, position, ids),
        *_root_problems(flat, ids),
    ]
    try:
        order = [position[id(pe)] for pe in topological_order(flat)]
    except GraphError as error:
        problems += error.problems
    if problems:
        raise GraphError(problems)

    routes: list[dict[str, list[Route]]] = [
        {name: [] for name in pe.outputconnections} for pe in pes
    ]
    upstream: list[dict[int, None]] = [{} for _ in pes]
    stateful: list[list[str]] = [
        [f"it has stateful = {pe.stateful!r}"] if pe.stateful else [] for pe in pes
    ]
    with_ids = _with_ids(flat, pes, position, order)
    for edge in flat.edges:
        i, j = position[id(edge.source)], position[id(edge.destination)]
        grouping = grouping_of(pes[j], edge.input)
        is_ordered = bool(pes[j].inputconnections[edge.input].get(ORDERED))
        route = Route(
            *(i, edge.output, j, edge.input, grouping, with_ids[j]),
            ordered=is_ordered,
            receiver=ids[j],
        )
        routes[i][edge.output].append(route)
        upstream[j][i] = None
        if is_ordered and (reason := f"its input {edge.input!r} is ordered") not in stateful[j]:
            stateful[j].append(reason)
        if grouping.kind != SHUFFLE:
            reason = f"its input {edge.input!r} has the grouping {grouping}"
            if reason not in stateful[j]:
                stateful[j].append(reason)
    planned = with_places(
        [
            PlannedPE(
                index=i,
                id=ids[i],
                pe=pe,
                instances=1 if pe.single or not upstream[i] else int(pe.numprocesses),
                is_root=not upstream[i],
                stateful_because=tuple(stateful[i]),
                routes={name: tuple(edges) for name, edges in routes[i].items()},
                upstream=tuple(upstream[i]),
                with_ids=with_ids[i],
                has_preprocess=_overrides(pe, "preprocess") or _overrides(pe, "_preprocess"),
                has_postprocess=_overrides(pe, "postprocess") or _overrides(pe, "_postprocess"),
                reads_input=_read_input(pe),
            )
            for i, pe in enumerate(pes)
        ],
        order,
    )
    return Plan(
        pes=tuple(planned),
        order=tuple(order),
        strict=options is not None and options.strict,
        seed=_seed_of(options),
        limits=limits,
    )


def _seed_of(options: RunOptions | None) -> int:
    if options is None:
        return 0
    return draw_seed() if options.seed is None else int(options.seed)


class Ancestors(dict[int, frozenset[int]]):
    """Number of a PE → numbers of all PEs upstream of it, found when first asked for."""

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
    """The same plan for a mapping whose workers share the stateless PEs: one instance of each."""
    return replace(
        plan,
        pes=tuple(
            pe if pe.stateful else replace(pe, instances=1, replicated=not pe.is_pinned)
            for pe in plan.pes
        ),
    )


def grouping_of(pe: GenericPE, input_name: str) -> Grouping:
    """The grouping of an input.

    Raises:
        ValueError: it is none that there is.
    """
    given = pe.inputconnections[input_name].get(GROUPING)
    if given is None or given == SHUFFLE:
        return Grouping(SHUFFLE)
    if given in (ALL, GLOBAL):
        return Grouping(given)
    if isinstance(given, Sequence) and not isinstance(given, str | bytes) and len(given) > 0:
        return Grouping(GROUP_BY, tuple(given))
    raise ValueError(
        f"the grouping {given!r}; it can be a list of keys such as [0], 'all', 'global' or None"
    )


def _with_ids(
    flat: WorkflowGraph, pes: Sequence[Any], position: dict[int, int], order: Sequence[int]
) -> list[bool]:
    """By PE: it asks for the ids of its items, or something that it feeds does."""
    feeds: list[list[int]] = [[] for _ in pes]
    for edge in flat.edges:
        feeds[position[id(edge.source)]].append(position[id(edge.destination)])
    found = [pe.item_ids is True for pe in pes]
    for i in reversed(order):
        found[i] = found[i] or any(found[j] for j in feeds[i])
    return found


def _graph_problems(pes: Sequence[Any], ids: Sequence[str]) -> Iterable[str]:
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
    for pe, pe_id in zip(pes, ids, strict=True):
        if not isinstance(pe.numprocesses, Integral) or pe.numprocesses < 1:
            yield f"{pe_id} has numprocesses = {pe.numprocesses!r}; it must be at least 1"
        yield from method_problems(pe, pe_id)


def _port_problems(
    flat: WorkflowGraph, position: dict[int, int], ids: Sequence[str]
) -> Iterable[str]:
    connected: dict[int, set[str]] = {}
    for edge in flat.edges:
        i, j = position[id(edge.source)], position[id(edge.destination)]
        connected.setdefault(j, set()).add(edge.input)
        if edge.output not in edge.source.outputconnections:
            yield (
                f"{ids[i]} has no output {edge.output!r}"
                f" (outputs: {name_list(list(edge.source.outputconnections))})"
            )
        if edge.input not in edge.destination.inputconnections:
            yield (
                f"{ids[j]} has no input {edge.input!r}"
                f" (inputs: {name_list(list(edge.destination.inputconnections))})"
            )
            continue
        try:
            grouping_of(edge.destination, edge.input)
        except ValueError as error:
            yield f"input {edge.input!r} of {ids[j]} has {error}"
    pes: list[Any] = flat.get_contained_objects()
    for i, pe in enumerate(pes):
        for name, settings in pe.inputconnections.items():
            if i in connected and name not in connected[i] and not settings.get(OPTIONAL):
                yield (
                    f"input {name!r} of {ids[i]} is not connected, though others of its inputs"
                    " are: connect it, or declare it with optional=True"
                )


def _root_problems(flat: WorkflowGraph, ids: Sequence[str]) -> Iterable[str]:
    fed = {id(edge.destination) for edge in flat.edges}
    pes: list[Any] = flat.get_contained_objects()
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


def _read_input(pe: GenericPE) -> str | None:
    """Return the input that a PE cannot be called without; None if it overrides `process`."""
    for kind in (IterativePE, ConsumerPE):
        if isinstance(pe, kind) and type(pe).process is kind.process:
            return pe.INPUT_NAME
    return None


def _overrides(pe: GenericPE, method: str) -> bool:
    return method in vars(pe) or getattr(type(pe), method) is not getattr(GenericPE, method)
