"""Ranks and driver without processes: random graphs, placements and schedules against a model.

Ranks and driver are threads of which one runs at a time; at every `send` and `receive` a seeded
chooser selects the next one.  So a seed is a schedule, and a deadlock is detected at once, when no
thread can run.  Windows and batches are tiny, clocks are simulated, and every frame is recorded.
"""

import random
import threading
from collections import Counter, defaultdict, deque
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from d4py_conformance.pes.common import Relay
from d4py_conformance.pes.order import InOrder, SeveralNumbers, TwoOutputs
from d4py_conformance.waiting import LIMIT
from d4py_fixed.engine import rank as rank_module
from d4py_fixed.engine.driver import Driver
from d4py_fixed.engine.frame_transport import EncodedFrames
from d4py_fixed.engine.frames import (
    RESULTS,
    Calls,
    Credit,
    InstanceDone,
    Items,
    PauseRoots,
    Results,
    from_parts,
)
from d4py_fixed.engine.limits import RankLimits
from d4py_fixed.engine.placement import Placement, place
from d4py_fixed.engine.rank import Rank
from d4py_fixed.engine.send_buffers import SendBuffers
from dispel4py import GenericPE, WorkflowGraph, run
from dispel4py.engine.inputs import root_inputs
from dispel4py.engine.limits import EngineLimits
from dispel4py.engine.plan import make_plan
from dispel4py.result import RunOptions

# The simulation.


class Stopped(BaseException):
    """Ends a thread when the simulation is over."""


class Net:
    """Threads that run one at a time, and frames between them.

    Attributes:
        sent: every frame, as (sender, receiver, frame).
        most_waiting: the most items that ever waited in one rank for one input of an instance.
        error: what a rank raised, or a deadlock.
    """

    def __init__(self, ranks: int, chooser: random.Random) -> None:
        self.sent: list[tuple[int, int, Any]] = []
        self.most_waiting = 0
        self.error: BaseException | None = None
        self._chooser = chooser
        self._driver = ranks
        self._inboxes = [deque() for _ in range(ranks + 1)]
        self._turns = [threading.Semaphore(0) for _ in range(ranks + 1)]
        self._waiting = [False] * (ranks + 1)
        self._over = [False] * (ranks + 1)
        self._threads: list[threading.Thread] = []

    def start(self, rank: int, main) -> None:
        def body():
            self._turns[rank].acquire()
            try:
                main()
            except Stopped:
                pass
            except BaseException as error:
                self.error = self.error or error
            self._over[rank] = True
            self._hand_over()

        self._threads.append(threading.Thread(target=body, daemon=True))
        self._threads[-1].start()

    def stop(self) -> None:
        self.error = self.error or Stopped()
        for turn in self._turns:
            turn.release()
        for thread in self._threads:
            thread.join(LIMIT)
            assert not thread.is_alive()

    def check(self) -> None:
        if self.error is not None:
            raise self.error

    def send(self, sender: int, receiver: int, parts) -> None:
        copies = [bytearray(part) for part in parts]
        self.sent.append((sender, receiver, from_parts([bytes(copy) for copy in copies])))
        self._inboxes[receiver].append((sender, copies))
        self._switch(sender)

    def receive(self, rank: int, seconds: float):
        self._waiting[rank] = seconds > 0
        self._switch(rank)
        self._waiting[rank] = False
        return self._inboxes[rank].popleft() if self._inboxes[rank] else None

    def _switch(self, rank: int) -> None:
        if self._hand_over() != rank:
            self._turns[rank].acquire()
        else:
            self._turns[rank].acquire(blocking=False)
        if self.error is not None and rank != self._driver:
            raise Stopped

    def _hand_over(self) -> int:
        """Run the next thread, chosen from those that can run, and return its rank."""
        able = [
            rank
            for rank, inbox in enumerate(self._inboxes)
            if not self._over[rank] and (inbox or not self._waiting[rank])
        ]
        if not able or self.error is not None:
            if not able:
                self.error = self.error or AssertionError("deadlock: all threads wait")
            able = [self._driver]
        chosen = self._chooser.choice(able)
        self._turns[chosen].release()
        return chosen


@dataclass
class Link:
    """The transport of one rank."""

    net: Net
    rank: int

    def send(self, rank, parts):
        self.net.send(self.rank, rank, parts)

    def receive(self, seconds):
        return self.net.receive(self.rank, seconds)

    def close(self):
        pass


class Clock:
    """A time that advances by a little, or by a lot, at each call."""

    def __init__(self, chooser: random.Random) -> None:
        self._chooser = chooser
        self._now = 0.0

    def __call__(self) -> float:
        self._now += self._chooser.choice((0.0, 0.0001, 0.001, 0.004, 0.02))
        return self._now


class MeasuredBuffers(SendBuffers):
    """Measures how much waits in a rank."""

    net: Net

    def add_items(self, *batch):
        super().add_items(*batch)
        waiting = max(len(buffer.items) for buffer in self._filling)
        self.net.most_waiting = max(self.net.most_waiting, waiting)


@dataclass
class Sizes:
    """Sizes of windows and batches, tiny by default."""

    window: int = 1
    results_window: int = 1
    full: int = 2
    chunk: int = 4

    @property
    def limits(self) -> RankLimits:
        return RankLimits(
            batch_items=self.full, window=self.window, results_window=self.results_window
        )

    @property
    def bound(self) -> int:
        """Items that may wait for one input: two batches, and what was being made meanwhile."""
        return 2 * self.full + 2 * self.chunk


def simulate(placement: Placement, inputs, *, seed=0, sizes=None, on_error="stop"):
    """Run a placed graph; return its result and the net."""
    sizes = sizes or Sizes()
    limits = placement.plan.limits._replace(batch_items=sizes.chunk)
    placement = placement._replace(plan=replace(placement.plan, limits=limits))
    chooser = random.Random(seed)
    clock = Clock(chooser)
    net = Net(placement.ranks, chooser)
    options = RunOptions(on_error=on_error)
    with pytest.MonkeyPatch.context() as patch:
        buffers = type("Measured", (MeasuredBuffers,), {"net": net})
        patch.setattr(rank_module, "SendBuffers", buffers)
        for rank in range(placement.ranks):
            frames = EncodedFrames(Link(net, rank), placement.describe)
            made = Rank(placement, rank, frames, on_error, limits=sizes.limits, clock=clock)
            net.start(rank, made.run)
        driver = Driver(
            placement,
            root_inputs(placement.plan, inputs),
            EncodedFrames(Link(net, placement.ranks), placement.describe),
            net.check,
            options,
            "test",
            sizes.limits,
            clock,
        )
        try:
            result = driver.run()
        finally:
            net.stop()
    return result, net


# Graphs of one kind of PE, which records its calls.


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


@st.composite
def shapes(draw) -> Shape:
    """Random acyclic graphs: several roots, fan-out, fan-in, groupings, nodes that multiply."""
    size = draw(st.integers(3, 7))
    nodes = [
        (
            draw(st.sampled_from((2, 2, 3, 3, 20))),
            draw(st.sampled_from((True, True, False))),
            draw(st.sampled_from((0, 0, 0, 3))),
            draw(st.sampled_from((1, 1, 2, 3))),
        )
        for _ in range(size)
    ]
    edges = []
    for destination in range(1, size):
        for name in draw(st.sampled_from(("a", "ab", "a", ""))):
            edges.append(
                (
                    draw(st.integers(0, destination - 1)),
                    draw(st.sampled_from(("x", "y"))),
                    destination,
                    name,
                    draw(st.sampled_from((None, None, None, [0], "all", "global"))),
                )
            )
    return Shape(nodes, edges, calls=draw(st.integers(5, 40)), independent=draw(st.booleans()))


@st.composite
def placements(draw, plan) -> Placement:
    """The placements of the mapping, and any other."""
    if draw(st.integers(0, 3)) == 0:
        return place(plan, draw(st.integers(1, 4)))
    plan = place(plan, None).plan
    instances = [(pe.index, i) for pe in plan.pes for i in range(pe.instances)]
    ranks = st.integers(0, draw(st.integers(1, 3)))
    chosen = [draw(ranks) for _ in instances]
    number = {rank: i for i, rank in enumerate(sorted(set(chosen)))}
    return Placement(
        plan,
        len(number),
        {instance: number[rank] for instance, rank in zip(instances, chosen, strict=True)},
    )


SIZES = st.builds(
    Sizes,
    window=st.integers(1, 2),
    results_window=st.integers(1, 2),
    full=st.sampled_from((1, 2, 4)),
    chunk=st.sampled_from((2, 4, 16)),
)


@settings(max_examples=40)
@given(st.data(), shapes(), SIZES, st.integers(0, 2**32))
def test_c1_m1_m3_any_graph_with_any_placement_and_schedule(data, shape, sizes, seed):
    graph, journal = shape.build()
    placement = data.draw(placements(make_plan(graph)))
    shape.model(placement.plan)  # leaves out what would grow too large
    result, net = simulate(placement, shape.inputs, seed=seed, sizes=sizes, on_error="skip")
    check_run(shape, placement, journal, result, net)
    assert net.most_waiting <= sizes.bound


# Graphs whose ranks wait for each other, in all ways that we know.

MANY = (20, True, 0, 1)
FEW = (3, True, 0, 1)

#: Name → (shape, rank of each node).
ENTANGLED = {
    # A → B → C, where A and C share a rank: C has to make progress while A waits for B.
    "there and back": (Shape([MANY, MANY, FEW], [(0, "x", 1, "a", None), (1, "x", 2, "a", None)]),
                       [0, 1, 0]),
    # A → B and C → D, where A shares a rank with D, and B with C.
    "crossing": (Shape([MANY, FEW, MANY, FEW], [(0, "x", 1, "a", None), (2, "x", 3, "a", None)]),
                 [0, 1, 1, 0]),
    # Two chains of three, each in the middle of a batch while the other one makes progress.
    "crossing in the middle": (
        Shape(
            [MANY, MANY, FEW, FEW, FEW, FEW],
            [(0, "x", 2, "a", None), (2, "x", 4, "a", None),
             (1, "x", 3, "a", None), (3, "x", 5, "a", None)],
        ),
        [0, 1, 1, 0, 2, 2],
    ),
    # A → B → C with A → D far away: items that wait for C here overtake those that arrive for B.
    "overtaking": (
        Shape(
            [MANY, MANY, FEW, FEW, FEW],
            [(0, "x", 2, "a", None), (1, "x", 2, "b", None), (2, "x", 3, "a", None),
             (0, "x", 4, "a", None)],
        ),
        [0, 1, 0, 0, 1],
    ),
    # The same with D further down: no batch of B may be processed in the middle of a call of C.
    "in the middle of a call": (
        Shape(
            [MANY, MANY, FEW, FEW, MANY, FEW],
            [(0, "x", 2, "a", None), (1, "x", 2, "b", None), (2, "x", 3, "a", None),
             (0, "x", 5, "a", None), (4, "x", 5, "b", None)],
        ),
        [0, 1, 0, 0, 1, 1],
    ),
    # A feeds B and D, and B feeds C, which is far away and slow: D's items must not hide that.
    "siblings": (
        Shape(
            [FEW, MANY, FEW, FEW],
            [(0, "x", 1, "a", None), (1, "x", 2, "a", None), (0, "x", 3, "a", None)],
        ),
        [0, 0, 1, 0],
    ),
    # A → B → C → D by two ranks in turn.
    "zigzag": (
        Shape(
            [MANY, FEW, MANY, FEW],
            [(0, "x", 1, "a", None), (1, "x", 2, "a", None), (2, "x", 3, "a", None)],
            calls=3,
        ),
        [0, 1, 0, 1],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ENTANGLED)
@pytest.mark.parametrize("sizes", [Sizes(1, 1, 1, 2), Sizes(1, 1, 2, 16)], ids=repr)
@pytest.mark.parametrize(
    "seeds", [range(5), pytest.param(range(5, 40), marks=pytest.mark.slow)], ids=repr
)
def test_c1_c6_m3_ranks_that_wait_for_each_other_make_progress(name, sizes, seeds):
    shape, ranks = ENTANGLED[name]
    for seed in seeds:
        graph, journal = shape.build()
        placement = Placement(make_plan(graph), max(ranks) + 1,
                              {(pe, 0): rank for pe, rank in enumerate(ranks)})  # fmt: skip
        result, net = simulate(placement, shape.inputs, seed=seed, sizes=sizes, on_error="skip")
        check_run(shape, placement, journal, result, net)
        assert net.most_waiting <= sizes.bound


class Numbered(SeveralNumbers):
    """Numbers from `start` on."""

    def __init__(self, start):
        super().__init__(7)
        self.start = start

    def write(self, name, data, **kwargs):
        super().write(name, self.start + data, **kwargs)


class Passes(InOrder):
    """Sends its items on, in order."""

    def process(self, inputs):
        return {"output": next(iter(inputs.values()))}


def ordered_graph(starts):
    """Each root with two paths, replicas, and one ordered input behind another one."""
    graph = WorkflowGraph()
    first, second = Passes(inputs=["a", "b"]), Passes(inputs=["a", "b"])
    second.name = "Last"
    for start in starts:
        root, relay, split = Numbered(start), Relay(numprocesses=3), TwoOutputs()
        graph.connect(root, "output", relay, "input")
        graph.connect(root, "output", split, "input")
        graph.connect(relay, "output", first, "a")
        graph.connect(split, "left", first, "b")
        graph.connect(split, "right", second, "b")
    graph.connect(first, "output", after := Relay(numprocesses=2), "input")
    graph.connect(after, "output", second, "a")
    return graph


def came_last(result):
    (found,) = [found["output"] for name, found in result.outputs.items() if "Last" in name]
    return found


@pytest.mark.parametrize(
    "seeds", [range(12), pytest.param(range(12, 80), marks=pytest.mark.slow)], ids=repr
)
def test_m6_c6_roots_that_pause_for_an_ordered_input_are_resumed(seeds):
    far = 10**6
    expected = [came_last(run(ordered_graph([start]), inputs=3)) for start in (0, far)]
    waits = 0
    for seed in seeds:
        chooser = random.Random(seed)
        plan = make_plan(ordered_graph([0, far]), limits=EngineLimits(early_items=1))
        instances = [(pe.index, i) for pe in plan.pes for i in range(pe.instances)]
        ranks = 1 + seed % 4
        at = {instance: chooser.randrange(ranks) for instance in instances}
        at |= dict(zip(instances, range(ranks), strict=False))
        result, net = simulate(Placement(plan, ranks, at), 3, seed=seed)
        found = came_last(result)
        assert [item for item in found if item < far / 2] == expected[0]
        assert [item for item in found if item > far / 2] == expected[1]
        waits += sum(type(frame) is PauseRoots for _, _, frame in net.sent)
    assert waits > 0


class Waits(Relay):
    """Has its items wait for more of them than there are."""

    batch_size, batch_seconds = 1000, 1e6

    def _process_batch(self, items):
        return items


def waiting_graph():
    """An ordered input with two paths; on one of them items wait for others."""
    graph = WorkflowGraph()
    root, waits, last = Numbered(0), Waits(numprocesses=2), Passes(inputs=["a", "b"])
    last.name = "Last"
    graph.connect(root, "output", waits, "input")
    graph.connect(waits, "output", last, "a")
    graph.connect(root, "output", last, "b")
    return graph


def test_m6_m7_items_do_not_wait_for_others_that_a_root_makes_only_after_its_pause():
    expected, pauses = came_last(run(waiting_graph(), inputs=9)), 0
    for seed in range(12):
        chooser = random.Random(seed)
        plan = make_plan(waiting_graph(), limits=EngineLimits(early_items=2))
        instances = [(pe.index, i) for pe in plan.pes for i in range(pe.instances)]
        ranks = 1 + seed % 4
        at = {instance: chooser.randrange(ranks) for instance in instances}
        at |= dict(zip(instances, range(ranks), strict=False))
        result, net = simulate(Placement(plan, ranks, at), 9, seed=seed)
        assert came_last(result) == expected
        pauses += sum(type(frame) is PauseRoots for _, _, frame in net.sent)
    assert pauses > 0


class UnansweredLink:
    """The frames of a rank one of whose receivers sends no credits; others send them at once."""

    def __init__(self, frames, stuck):
        self.arriving = deque(frames)
        self.stuck = stuck
        self.sent = []

    def send(self, rank, frame):
        self.sent.append(frame)
        if isinstance(frame, Results):
            self.arriving.append(Credit(RESULTS, 0))
        elif isinstance(frame, Items) and frame.pe != self.stuck:
            self.arriving.append(Credit(frame.pe, frame.instance))
        return 0

    def receive(self, seconds):
        if self.arriving:
            return 1, self.arriving.popleft()
        if seconds:
            raise Stopped  # all other ranks wait too
        return None


def test_c6_a_root_with_a_stuck_receiver_does_not_block_its_neighbour():
    # Two roots on rank 0, each with a receiver on rank 1.
    shape = Shape([(1, False, 0, 1)] * 4, [(0, "x", 1, "a", None), (2, "x", 3, "a", None)])
    graph, _ = shape.build()
    plan = make_plan(graph, limits=EngineLimits(batch_items=16))  # thousands of batches
    placement = Placement(plan, 2, {(0, 0): 0, (1, 0): 1, (2, 0): 0, (3, 0): 1})
    link = UnansweredLink([Calls(0, 30_000, last=True), Calls(2, 30_000, last=True)], stuck=3)
    with pytest.raises(Stopped):
        Rank(placement, 0, link).run()
    values = Counter(
        frame.pe for frame in link.sent if isinstance(frame, Items) for _ in frame.items
    )
    assert values[1] > 20_000
    assert 0 < values[3] < 20_000


def test_c6_batches_between_ranks_are_as_large_as_the_plan_has_it():
    graph, _ = Shape([(1, False, 0, 1)] * 2, [(0, "x", 1, "a", None)]).build()
    plan = make_plan(graph, limits=EngineLimits(batch_items=16))
    link = UnansweredLink([Calls(0, 30_000, last=True)], stuck=1)
    with pytest.raises(Stopped):
        Rank(Placement(plan, 2, {(0, 0): 0, (1, 0): 1}), 0, link).run()
    sizes = [len(frame.items) for frame in link.sent if isinstance(frame, Items)]
    assert len(sizes) == RankLimits().window
    assert max(sizes) < 2 * 16


class PatientLink(UnansweredLink):
    """Lets time pass in waits; ends when there was a long one, or many that took no time."""

    def __init__(self, frames, stuck, limits):
        super().__init__(frames, stuck)
        self.now = 0.0
        self.vain = 0
        self._limits = limits

    def receive(self, seconds):
        self.vain = 0 if self.arriving or seconds else self.vain + 1
        assert self.vain < 1000, "it waits without end, and keeps a core busy"
        if not self.arriving and 0 < seconds < self._limits.wait_seconds:
            self.now += seconds
            return None
        return super().receive(seconds)


def test_m7_a_rank_rests_while_items_that_have_waited_cannot_be_processed_yet():
    graph = WorkflowGraph()
    waits, last = Waits(), Relay()
    waits.batch_size, waits.batch_seconds = 50, 0.1
    graph.connect(Numbered(0), "output", waits, "input")
    graph.connect(waits, "output", last, "input")
    limits = RankLimits(batch_items=16)
    link = PatientLink([Calls(0, 1000, last=False)], stuck=2, limits=limits)
    placement = Placement(make_plan(graph), 2, {(0, 0): 0, (1, 0): 0, (2, 0): 1})
    with pytest.raises(Stopped):
        Rank(placement, 0, link, limits=limits, clock=lambda: link.now).run()
    assert link.now > 0
