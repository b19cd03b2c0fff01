"""Ranks and driver without processes: random graphs, placements and schedules against a model."""

import random
from collections import Counter, deque

import pytest
from fixed_helpers.recorded_graphs import Shape, check_run
from fixed_helpers.simulated_ranks import Sizes, Stopped, simulate
from hypothesis import given, settings
from hypothesis import strategies as st

from d4py_conformance.pes.common import Relay
from d4py_conformance.pes.order import InOrder, SeveralNumbers, TwoOutputs
from d4py_fixed.engine.frames import (
    RESULTS,
    Calls,
    Credit,
    Items,
    PauseRoots,
    Results,
)
from d4py_fixed.engine.limits import RankLimits
from d4py_fixed.engine.placement import Placement, place
from d4py_fixed.engine.rank import Rank
from dispel4py import WorkflowGraph, run
from dispel4py.engine.limits import EngineLimits
from dispel4py.engine.planning.plan import make_plan


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

    keep = None

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
