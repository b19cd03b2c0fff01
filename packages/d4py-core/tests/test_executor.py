"""The executor by itself: which instances live here, what waits, how errors leave nested calls."""

import itertools
from contextlib import suppress

import pytest

from dispel4py import ConsumerPE, GenericPE, IterativePE, ProducerPE, WorkflowGraph
from dispel4py.engine.executor import Executor
from dispel4py.engine.inputs import CallRange
from dispel4py.engine.limits import EngineLimits
from dispel4py.engine.plan import make_plan
from dispel4py.errors import ProcessingError

#: Most items in a batch.
BATCH = EngineLimits().batch_items
#: Items that a call writes before they are sent.
WRITTEN = EngineLimits().written_items


class OutputHandler:
    """Notes what leaves."""

    def __init__(self):
        self.sent = []
        self.results = []

    def send(self, pe, instance, input_name, items):
        self.sent.append((pe, instance, input_name, items))

    def result(self, pe_id, output, items):
        self.results += items


class Clock:
    """Stands for `perf_counter`; time passes only when told."""

    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


class Count(ProducerPE):
    total = 0

    def _process(self, inputs):
        self.total += 1
        return self.total


class Same(IterativePE):
    def _process(self, data):
        return data


class Each(IterativePE):
    def __init__(self, work, numprocesses=1):
        super().__init__()
        self.work, self.numprocesses = work, numprocesses

    def _process(self, data):
        return self.work(data)


class Writer(GenericPE):
    """Writes with `write`; `work` is called with the PE and the item."""

    def __init__(self, work=lambda pe, item: pe.write("output", item)):
        super().__init__()
        self._add_input("input")
        self._add_output("output")
        self.work = work

    def process(self, inputs):
        self.work(self, inputs.get("input"))


def chain(*nodes) -> WorkflowGraph:
    graph = WorkflowGraph()
    for node in nodes:
        graph.add(node)
    for source, destination in itertools.pairwise(nodes):
        graph.connect(source, "output", destination, "input")
    return graph


def make_executor(graph: WorkflowGraph, **options) -> tuple[Executor, OutputHandler]:
    handler = OutputHandler()
    return Executor(make_plan(graph), handler, **options), handler


def call(executor: Executor, times: int, pe: int = 0) -> None:
    calls = iter([{} for _ in range(times)])
    while executor.call_root(pe, calls):
        pass


# What lives here and what lives elsewhere


def test_results_go_to_the_result_method():
    executor, handler = make_executor(chain(Count(), Same()))

    call(executor, 3)

    assert handler.results == [1, 2, 3]
    assert handler.sent == []


def test_items_for_instances_elsewhere_are_sent_there():
    elsewhere = Same()
    elsewhere.numprocesses = 2
    executor, handler = make_executor(
        chain(Count(), elsewhere), is_local=lambda pe, instance: pe == 0 or instance == 1
    )

    call(executor, 4)

    assert [(pe, instance, name) for pe, instance, name, _ in handler.sent] == [(1, 0, "input")] * 2
    assert [item for *_, items in handler.sent for item in items] == [1, 3]
    assert handler.results == [2, 4]


def test_receiver_may_move_away_and_come_back():
    here = True
    executor, handler = make_executor(
        chain(Count(), Same()), is_local=lambda pe, instance: here or pe == 0
    )

    call(executor, 2)
    here = False
    call(executor, 2)
    here = True
    call(executor, 2)

    assert handler.results == [1, 2, 5, 6]
    assert [item for *_, items in handler.sent for item in items] == [3, 4]


def test_pushed_items_wait_for_drain():
    executor, handler = make_executor(chain(Count(), Same(), Same()))

    executor.push(1, 0, "input", [7, 8])
    before = list(handler.results)
    executor.drain()

    assert (before, handler.results) == ([], [7, 8])


def test_instance_is_preprocessed_once_before_its_first_item():
    phases = []

    class Noted(Same):
        def preprocess(self):
            phases.append("preprocess")

        def _process(self, data):
            phases.append(data)

    executor, _ = make_executor(chain(Count(), Noted()))
    call(executor, 2)
    executor.start(1, 0)

    assert phases == ["preprocess", 1, 2]


def test_finish_postprocesses_and_runs_what_follows():
    class Sums(IterativePE):
        total = 0

        def _process(self, data):
            self.total += data

        def postprocess(self):
            self.write("output", self.total)

    executor, handler = make_executor(chain(Count(), Sums(), Same()))
    call(executor, 4)
    executor.finish(1, 0)

    assert handler.results == [10]


def test_m3_what_a_late_starter_writes_in_preprocess_goes_before_its_items():
    class Greets(Same):
        def preprocess(self):
            self.write("output", "hello")

    executor, handler = make_executor(chain(Count(), Greets(), Same()))

    call(executor, 2)

    assert handler.results == ["hello", 1, 2]


def test_stats_are_those_of_the_local_instances():
    executor, _ = make_executor(chain(Count(), Same()), is_local=lambda pe, instance: pe == 0)

    call(executor, 3)

    assert [(stats.pe_id, stats.items) for stats in executor.stats] == [("Count0", 3)]


# What waits


def test_between_may_stop_drain_and_what_waits_can_be_taken():
    stops = iter([True, False])
    executor, handler = make_executor(
        chain(Count(), Same(), Same()), on_batch_end=lambda: next(stops, False)
    )
    executor.push(1, 0, "input", [1, 2, 3])

    assert executor.drain() is False
    assert executor.stack.take(lambda pe: pe == 2) == [(1, 0, "input", [2, 3])]
    assert executor.drain() is True
    assert handler.results == [1]


def test_d3_calls_that_wait_are_still_known_by_their_numbers():
    executor, handler = make_executor(chain(Count(), Same()), on_batch_end=lambda: True)
    executor.push(0, 0, None, CallRange(30, 8))
    executor.drain()
    executor.drain()

    assert handler.results == [1]
    ((*where, calls),) = executor.stack.take(lambda pe: False)
    assert where == [0, 0, None]
    assert (calls.first, len(calls)) == (31, 7)


def test_d3_a_root_is_called_for_a_part_of_its_calls_at_a_time(clock):
    executor, handler = make_executor(chain(Count(), Same()), clock=clock)
    left = CallRange(0, 10_000)
    sizes = []
    while left:
        before, left = len(left), executor.call_range(0, 0, left)
        sizes.append(before - len(left))

    assert handler.results == [*range(1, 10_001)]
    assert 1 == sizes[0] <= max(sizes) <= BATCH


def test_what_is_set_aside_is_neither_processed_nor_taken():
    executor, handler = make_executor(chain(Count(), Same()))
    executor.push(1, 0, "input", ["outer"])

    outer_floor = executor.stack.set_aside()
    executor.push(1, 0, "input", ["inner"])
    executor.drain()
    assert handler.results == ["inner"]
    assert executor.stack.take(lambda pe: False) == []
    executor.stack.floor = outer_floor
    executor.drain()

    assert handler.results == ["inner", "outer"]


def test_executor_knows_which_pes_are_in_the_middle_of_a_call():
    seen = []

    def look(data):
        seen.append((executor.in_call, executor.pes_in_call))

    executor, _ = make_executor(chain(Count(), Writer(), Each(look)), one_by_one=True)
    call(executor, 1)

    assert seen == [(True, {1})]
    assert not executor.in_call


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


def test_c3_instance_of_a_team_that_failed_is_named():
    def fail(data):
        if data == 500:
            boom(data)

    executor, _ = make_executor(chain(Count(), Each(fail, 3)))

    with pytest.raises(
        ProcessingError, match=r"Each1 \(instance 1\) failed in process at item 500"
    ):
        call(executor, 1000)


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


# Errors in mid-call


class Boom(Exception):
    pass


def boom(item):
    raise Boom(f"at {item}")


def swallow_exception(pe, item):
    with suppress(Exception):
        pe.write("output", item)


def swallow_everything(pe, item):
    with suppress(BaseException):
        pe.write("output", item)


def replace(pe, item):
    try:
        pe.write("output", item)
    except BaseException as error:
        raise ValueError("mine") from error


def write_again(pe, item):
    try:
        pe.write("output", item)
    finally:
        pe.write("output", "again")


def swallow_often(pe, item):
    for _ in range(3):
        swallow_everything(pe, item)


WAYS = [swallow_exception, swallow_everything, replace, write_again, swallow_often]


@pytest.mark.parametrize("work", WAYS)
@pytest.mark.parametrize("writers", [1, 3, 100])
def test_c3_no_pe_can_swallow_the_error_of_another(work, writers):
    called = []

    def once(item):
        called.append(item)
        boom(item)

    nodes = [Count(), *(Writer(work) for _ in range(writers)), Each(once)]
    executor, handler = make_executor(chain(*nodes), one_by_one=True)

    with pytest.raises(ProcessingError) as raised:
        call(executor, 3)

    assert raised.value.pe_id == f"Each{writers + 1}"
    assert isinstance(raised.value.__cause__, Boom)
    assert called == [1]
    assert handler.results == []


def test_c3_handlers_of_a_sender_do_not_see_the_error_of_another():
    seen = []

    def listen(pe, item):
        try:
            pe.write("output", item)
        except Exception as error:
            seen.append(error)
        seen.append("went on")

    executor, _ = make_executor(chain(Count(), Writer(listen), Each(boom)), one_by_one=True)

    with pytest.raises(ProcessingError):
        call(executor, 3)
    assert seen == []


@pytest.mark.parametrize("work", WAYS)
def test_c4_no_pe_can_swallow_an_interrupt_below_it(work):
    def interrupt(item):
        raise KeyboardInterrupt

    executor, _ = make_executor(chain(Count(), Writer(work), Each(interrupt)), one_by_one=True)

    with pytest.raises(KeyboardInterrupt):
        call(executor, 3)


@pytest.mark.parametrize("work", WAYS)
@pytest.mark.parametrize("on_error", ["stop", "skip"])
def test_error_of_an_output_handler_is_raised_unchanged(work, on_error):
    failed = []
    options = {"on_error": lambda *args: failed.append(args)} if on_error == "skip" else {}
    executor, handler = make_executor(chain(Count(), Writer(work)), one_by_one=True, **options)
    handler.result = lambda pe_id, output, items: boom(items)

    with pytest.raises(Boom, match="at \\[1\\]"):
        call(executor, 3)


@pytest.mark.parametrize("phase", ["preprocess", "postprocess"])
def test_c3_error_below_a_write_outside_process_is_the_error_below(phase):
    def write(self):
        swallow_everything(self, "x")

    pe = type("Writes", (Same,), {phase: write})()
    executor, _ = make_executor(chain(Count(), pe, Each(boom)), one_by_one=True)

    with pytest.raises(ProcessingError, match=r"Each2 .* failed in process at item 'x': .*at x"):
        executor.finish(1, 0)


def test_c3_group_key_that_cannot_be_read_is_an_error_of_the_sender():
    pe = ConsumerPE()
    pe.inputconnections["input"]["grouping"] = ["word"]
    executor, _ = make_executor(chain(Count(), pe))

    with pytest.raises(ProcessingError, match=r"Count0 .* at item 1: .*grouped by \['word'\]"):
        call(executor, 3)


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
