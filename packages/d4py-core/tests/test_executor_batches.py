"""How many items the executor processes at a time, and when they move on."""

import pytest
from core_helpers.executors import (
    BATCH,
    WRITTEN,
    Clock,
    Count,
    Each,
    OutputHandler,
    Same,
    Writer,
    call,
    chain,
    make_executor,
)

from dispel4py import ProducerPE, WorkflowGraph
from dispel4py.engine.execution.executor import Executor
from dispel4py.engine.inputs import CallRange
from dispel4py.engine.limits import EngineLimits
from dispel4py.engine.planning.plan import make_plan


@pytest.fixture
def clock():
    return Clock()


# Pace


def test_c6_sender_is_never_far_ahead_of_its_receiver():
    made = done = ahead = 0

    class Makes(ProducerPE):
        def _process(self, inputs):
            nonlocal made, ahead
            for _ in range(20 * BATCH):
                made += 1
                ahead = max(ahead, made - done)
                self.write("output", made)

    def count(data):
        nonlocal done
        done += 1

    executor, _ = make_executor(chain(Makes(), Same(), Each(count)))
    call(executor, 1)

    assert (made, done) == (20 * BATCH, 20 * BATCH)
    assert ahead <= BATCH


def test_quick_items_travel_in_batches(clock):
    batches = []
    executor, handler = make_executor(chain(Count(), Same()), clock=clock)
    handler.result = lambda pe_id, output, items: batches.append(len(items))

    call(executor, 4 * BATCH)

    assert max(batches) == BATCH
    assert len(batches) < 20


def test_slow_items_move_on_one_by_one(clock):
    events = []

    class Slow(Count):
        def _process(self, inputs):
            clock.now += 1.0
            events.append("call")
            return super()._process(inputs)

    executor, handler = make_executor(chain(Slow(), Same()), clock=clock)
    handler.result = lambda pe_id, output, items: events.append(items)

    call(executor, 3)

    assert events == ["call", [1], "call", [2], "call", [3]]


def test_pe_that_becomes_slow_gets_small_batches_again(clock):
    events = []

    class GetsSlow(Count):
        def _process(self, inputs):
            if self.total >= 5000:
                clock.now += 1.0
            return super()._process(inputs)

    executor, handler = make_executor(chain(GetsSlow(), Same()), clock=clock)
    handler.result = lambda pe_id, output, items: events.append(len(items))

    call(executor, 5000 + BATCH + 3)

    assert max(events) == BATCH
    assert events[-3:] == [1, 1, 1]


def test_batches_grow_only_where_big_ones_were_quick(clock):
    sizes = []

    class Sized(Same):
        def _process(self, data):
            if data >= 100:
                clock.now += 1.0
            return data

    executor, handler = make_executor(chain(Count(), Sized()), clock=clock)
    handler.result = lambda pe_id, output, items: sizes.append(len(items))
    for i in range(100):
        executor.push(1, 0, "input", [i])
        executor.drain()
    executor.push(1, 0, "input", list(range(100, 110)))
    executor.drain()

    assert sizes[100] <= 2


def test_slow_generator_is_not_read_ahead(clock):
    events = []

    def rows():
        for i in range(5):
            clock.now += 1.0
            events.append("read")
            yield {"n": i}

    executor, handler = make_executor(chain(Count(), Same()), clock=clock)
    handler.result = lambda pe_id, output, items: events.append(items)
    source = rows()
    while executor.call_root(0, source):
        pass

    assert events == [event for i in range(5) for event in ("read", [i + 1])]


def test_c2_one_by_one_items_go_depth_first_whatever_the_time(clock):
    source, left, right, meet = Count(), Same(), Same(), Same()
    graph = chain(source, left, meet)
    graph.connect(source, "output", right, "input")
    graph.connect(right, "output", meet, "input")
    executor, handler = make_executor(graph, clock=clock)

    call(executor, 4)

    assert handler.results == [1, 1, 2, 2, 3, 3, 4, 4]


def test_c2_instances_are_called_in_the_order_of_the_items(clock):
    batches = []
    executor, handler = make_executor(
        chain(Count(), Each(lambda data: data, 3), Writer(), Each(lambda data: data, 2), Same()),
        clock=clock,
    )
    handler.result = lambda pe_id, output, items: batches.append(items)

    call(executor, 4 * WRITTEN)

    assert [item for batch in batches for item in batch] == list(range(1, 4 * WRITTEN + 1))
    assert len(batches) < 20


# Written in mid-call


def test_written_items_arrive_before_the_call_ends(clock):
    events = []

    def slowly(pe, item):
        for i in range(3):
            clock.now += 1.0
            pe.write("output", i)
            events.append(f"wrote {i}")

    executor, _ = make_executor(chain(Count(), Writer(slowly), Each(events.append)), clock=clock)
    call(executor, 1)

    assert events == [0, "wrote 0", 1, "wrote 1", 2, "wrote 2"]


@pytest.mark.parametrize("one_by_one", [False, True])
def test_chain_of_writers_is_no_matter_of_recursion(one_by_one):
    executor, handler = make_executor(
        chain(Count(), *(Writer() for _ in range(1000))), one_by_one=one_by_one
    )

    call(executor, 3)

    assert handler.results == [1, 2, 3]


def test_writers_that_recurse_themselves_have_room(clock):
    def write_from_below(pe, item, depth=20):
        if depth:
            write_from_below(pe, item, depth - 1)
        else:
            pe.write("output", item)

    executor, handler = make_executor(
        chain(Count(), *(Writer(write_from_below) for _ in range(100))),
        one_by_one=True,
        clock=clock,
    )

    call(executor, 3)

    assert handler.results == [1, 2, 3]


def test_m2_every_receiver_of_a_fan_out_gets_a_copy():
    source, seen = Each(lambda data: [data]), []

    def spoil(data):
        seen.append(list(data))
        data.clear()

    graph = chain(Count(), source, Each(spoil))
    for _ in range(2):
        graph.connect(source, "output", Each(spoil), "input")
    executor, _ = make_executor(graph)

    call(executor, 2)

    assert sorted(seen) == [[1]] * 3 + [[2]] * 3


def test_c6_a_batch_that_grows_again_is_no_larger_than_the_plan_has_it(clock):
    class Slow(Count):
        def _process(self, inputs):
            self.total += 1
            if self.total == 20:  # in a batch of 16, and the next one has 10
                clock.now += 1.5 * EngineLimits().batch_seconds
            return self.total

    graph = WorkflowGraph()
    graph.connect(Slow(), "output", Same(), "input")
    plan = make_plan(graph, limits=EngineLimits(batch_items=16))
    handler = OutputHandler()
    executor = Executor(plan, handler, is_local=lambda pe, _: pe == 0, clock=clock)
    calls = CallRange(0, 1000)
    while calls:
        calls = executor.call_range(0, 0, calls)
    sizes = [len(items) for *_, items in handler.sent]
    assert sizes[:6] == [1, 2, 4, 8, 16, 10]
    assert max(sizes) == 16
