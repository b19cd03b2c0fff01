"""Random graphs of one kind of PE, which records its calls, and what has to be true of a record."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any

from hypothesis import reject

from d4py_fixed.engine.frames import (
    RESULTS,
    Credit,
    InstanceDone,
    Items,
    Results,
)
from d4py_fixed.engine.placement import Placement
from dispel4py import GenericPE, WorkflowGraph
from fixed_helpers.simulated_ranks import Net


@dataclass
class Journal:
    """All events, in order: (instance, event, details…).  Copies are the same object."""

    events: list[tuple[Any, ...]] = field(default_factory=list)
    instances: int = 0

    def __deepcopy__(self, memo):
        return self


class Node(GenericPE):
    """Turns each value into some others, and marks them with their sender and a number.

    An item is (value modulo 5, value, sender, output, number of the sender's item there).
    """

    def __init__(self, journal, number, outputs, factor, writes, bad, numprocesses):
        super().__init__(numprocesses)
        self.journal, self.number, self.factor, self.bad = journal, number, factor, bad
        self.writes = writes
        for name in outputs:
            self._add_output(name)
        self.in_call = False
        self.stamp = None
        self.sent = Counter()

    def item(self, output, value):
        self.sent[output] += 1
        return value % 5, value, self.stamp, output, self.sent[output]

    def _preprocess(self):
        self.journal.instances += 1
        self.stamp = self.journal.instances
        self.note("pre")
        for output in self.outputconnections:
            self.write(output, self.item(output, 1000 + self.number))

    def process(self, inputs):
        assert not self.in_call, "called in the middle of a call"
        self.in_call = True
        try:
            return self.work_on(inputs)
        finally:
            self.in_call = False

    def work_on(self, inputs):
        if "call" in inputs:
            value = inputs["call"]
        elif inputs:
            ((name, (key, value, sender, output, number)),) = inputs.items()
            self.note("item", name, key, sender, output, number)
        else:
            value = self.sent["calls"] = self.sent["calls"] + 1
        if self.fails_at(value):
            raise ValueError(value)
        if not self.writes:
            return {
                output: self.item(output, values[0])
                for output in self.outputconnections
                if (values := self.made_of(output, value))
            }
        for output in self.outputconnections:
            for made in self.made_of(output, value):
                self.write(output, self.item(output, made))
        return None

    def _postprocess(self):
        for output in self.outputconnections:
            self.write(output, self.item(output, 2000 + self.number))
        self.note("post")

    def note(self, *what):
        self.journal.events.append((self.number, self.stamp, *what))

    def fails_at(self, value):
        return self.bad > 0 and value % self.bad == 0

    def made_of(self, output, value):
        """The values that one value becomes, on an output."""
        count = 1 if not self.writes else (value + len(output)) % (self.factor + 1)
        if not self.writes and (value + self.number) % 4 == 0:
            count = 0
        return [(value * 7 + j * 3 + self.number) % 997 for j in range(count)]


@dataclass
class Shape:
    """A graph of nodes.

    Attributes:
        nodes: per node: factor, writes, bad, numprocesses.
        edges: (source, output, destination, input, grouping); one input each.
        independent: roots have as many instances as they ask for, which share their calls.
    """

    nodes: list[tuple[int, bool, int, int]]
    edges: list[tuple[int, str, int, str, Any]]
    calls: int = 5
    independent: bool = False

    @property
    def inputs(self):
        if self.independent:
            return [{"call": number} for number in range(1, self.calls + 1)]
        return self.calls

    def build(self) -> tuple[WorkflowGraph, Journal]:
        journal = Journal()
        nodes = []
        for number, (factor, writes, bad, numprocesses) in enumerate(self.nodes):
            outputs = dict.fromkeys(e[1] for e in self.edges if e[0] == number)
            nodes.append(
                Node(journal, number, [*outputs, "out"], factor, writes, bad, numprocesses)
            )
        graph = WorkflowGraph()
        for node in nodes:
            node.independent_calls = self.independent
            graph.add(node)
        for source, output, destination, name, grouping in self.edges:
            nodes[destination]._add_input(name, grouping)
            graph.connect(nodes[source], output, nodes[destination], name)
        return graph, journal

    def model(self, plan) -> tuple[dict[int, Counter], int]:
        """Compute what each PE writes to unconnected outputs, and how many items fail."""
        results, failures = {}, 0
        arriving: dict[int, Counter] = defaultdict(Counter)
        for pe in plan.order:
            node, planned = plan.pes[pe].pe, plan.pes[pe]
            if planned.is_root:
                arriving[pe] = Counter(range(1, self.calls + 1))
            failures += sum(n for value, n in arriving[pe].items() if node.fails_at(value))
            for output in node.outputconnections:
                made = Counter({1000 + pe: planned.instances})
                made[2000 + pe] += planned.instances
                for value, count in arriving[pe].items():
                    if not node.fails_at(value):
                        for product in node.made_of(output, value):
                            made[product] += count
                if made.total() > 1500:
                    reject()
                for route in planned.routes[output]:
                    copies = plan.pes[route.destination].instances
                    times = copies if route.grouping.kind == "all" else 1
                    for value, count in made.items():
                        arriving[route.destination][value] += count * times
                if not planned.routes[output]:
                    results[pe] = made
        return results, failures


def check_run(shape: Shape, placement: Placement, journal: Journal, result, net: Net) -> None:
    """Check everything that has to hold with any schedule."""
    plan = placement.plan
    expected, failures = shape.model(plan)
    got = {
        pe: Counter(item[1] for item in result.outputs.get(plan.pes[pe].id, {}).get("out", []))
        for pe in expected
    }
    assert got == expected
    assert len(result.failures) == failures
    check_lives(plan, journal)
    check_order_and_groups(plan, journal)
    check_counts(placement, net)


def check_lives(plan, journal) -> None:
    """I2, I3, C1: preprocess, items, postprocess; the latter after everything upstream."""
    lives = defaultdict(list)
    ended = Counter()
    for number, stamp, what, *_ in journal.events:
        lives[number, stamp].append(what)
        if what == "post":
            for source in plan.pes[number].upstream:
                assert ended[source] == plan.pes[source].instances, "postprocessed too early"
            ended[number] += 1
    assert Counter(number for number, _ in lives) == {pe.index: pe.instances for pe in plan.pes}
    for events in lives.values():
        assert events[0] == "pre"
        assert events[-1] == "post"
        assert set(events[1:-1]) <= {"item"}


def check_order_and_groups(plan, journal) -> None:
    """M1 and M3."""
    last: dict[Any, int] = {}
    owners = defaultdict(set)
    groupings = {
        (route.destination, route.input): route.grouping.kind
        for pe in plan.pes
        for routes in pe.routes.values()
        for route in routes
    }
    for number, stamp, what, *details in journal.events:
        if what != "item":
            continue
        name, key, sender, output, count = details
        edge = (number, stamp, name, sender, output)
        assert count > last.get(edge, 0), f"{edge}: number {count} comes after {last[edge]}"
        last[edge] = count
        kind = groupings[number, name]
        if kind in ("group_by", "global"):
            owners[number, kind, key if kind == "group_by" else None].add(stamp)
    for number, kind in {(number, kind) for number, kind, _ in owners}:
        for group in [g for g in owners if g[:2] == (number, kind)]:
            assert len(owners[group]) == 1, f"{group} has several owners"


def check_counts(placement: Placement, net: Net) -> None:
    """Each batch is answered once, and each completion is reported to the ranks downstream."""
    plan = placement.plan
    sent, answered, done = Counter(), Counter(), Counter()
    for sender, receiver, frame in net.sent:
        match frame:
            case Items():
                assert placement.rank_of[frame.pe, frame.instance] == receiver
                sent[sender, receiver, frame.pe, frame.instance] += 1
            case Results():
                sent[sender, receiver, RESULTS, 0] += 1
            case Credit() if frame.pe == RESULTS or receiver != placement.ranks:
                answered[receiver, sender, frame.pe, frame.instance] += 1
            case InstanceDone():
                done[frame.pe, sender, receiver] += 1
    assert sent == answered
    expected = Counter()
    for pe in plan.pes:
        for rank in range(placement.ranks):
            fed = {placement.rank_of[i] for i in placement.rank_of if pe.index in
                   plan.pes[i[0]].upstream}  # fmt: skip
            for other in fed - {rank}:
                expected[pe.index, rank, other] += sum(
                    placement.rank_of[pe.index, i] == rank for i in range(pe.instances)
                )
    assert done == +expected
