"""Workers that are lost at any of their calls of the store: C5 and H2 for the protocol itself.

Workers are threads here, and a lost one is one that raises `Crash` where it would call its store,
or when the store has done what it was called for and before the worker hears of it.  The driver is
the real one: it gives lost workers up and starts others.  What comes out has to be what `simple`
gives, item by item, and something has to come out in any case.
"""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import ClassVar

import pytest
from dynamic_helpers.replayed_graphs import graphs
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from d4py_conformance.expected.compare import assert_outputs
from d4py_dynamic.driver.limits import DriverLimits
from d4py_dynamic.worker.limits import WorkerLimits
from d4py_dynamic.worker.loop import Worker
from dispel4py import (
    GenericPE,
    IterativePE,
    ProducerPE,
    SimpleFunctionPE,
    WorkflowGraph,
    run,
)
from dispel4py.engine.limits import EngineLimits
from dispel4py.engine.plan import make_plan, replicate_stateless
from dispel4py.errors import RunError
from dispel4py.result import RunOptions


class Crashing:
    """A worker's store at some calls of which the worker is lost.

    Args:
        store: the store.
        crashes: see `Crashes`.
    """

    def __init__(self, store, crashes):
        self._store, self._crashes = store, crashes

    def take(self, *arguments, **options):
        return self._crashes.at(self._store.take, *arguments, **options)

    def adopt(self, pin):
        return self._crashes.at(self._store.adopt, pin)

    def commit(self, commit):
        return self._crashes.at(self._store.commit, commit)

    def __getattr__(self, name):
        return getattr(self._store, name)


class Crashes:
    """Counts the calls of all workers.

    Args:
        error: what a worker raises to be lost.
        before: numbers of calls that do not come to pass.
        after: numbers of calls that have their effect, but whose answer is lost.
    """

    def __init__(self, error, before=(), after=()):
        self._error, self._before, self._after = error, set(before), set(after)
        self._lock = threading.Lock()
        self._calls = 0
        self.happened = 0

    def at(self, method, *arguments, **options):
        with self._lock:
            number = self._calls
            self._calls += 1
        if number in self._before:
            self.crash()
        result = method(*arguments, **options)
        if number in self._after:
            self.crash()
        return result

    def crash(self):
        self.happened += 1
        raise self._error


#: Losses are seen at once.
QUICK_DRIVER = DriverLimits(tick_seconds=0.002, check_seconds=0.05)


#: Everything travels as soon as possible, in calls too.
QUICK = WorkerLimits(take_seconds=0.01, load_seconds=0.0, commit_seconds=0.0, preempt_seconds=0.001)


def crashing(open_store, run_in_threads, error):
    """Runs a graph on a store: ``crash(graph, inputs, processes, before=…, after=…)``."""

    def crash(graph, inputs, processes, before=(), after=(), interval=1.0, limits=QUICK, **options):
        plan = replicate_stateless(make_plan(graph, limits=EngineLimits(batch_items=2)))
        store = open_store(plan)
        crashes = Crashes(error, before, after)
        crash.last = crashes
        chosen = RunOptions(**options)

        def make_worker(rank):
            side = Crashing(store.worker(rank), crashes)
            # Workers are lost at random, not because of an item.
            return Worker(
                *(plan, side, rank, chosen.on_error),
                interval=interval,
                redeliveries=1000,
                limits=limits,
            )

        return run_in_threads(
            plan, inputs, store.driver, make_worker, processes, chosen, QUICK_DRIVER
        )

    return crash


@pytest.fixture
def crash(local_store, run_in_threads, Crash):
    """See `crashing`; on a table."""
    return crashing(local_store, run_in_threads, Crash())


@pytest.fixture
def crash_on_redis(server, open_redis_store, run_in_threads, Crash):
    """The same on Redis."""
    return crashing(lambda plan: open_redis_store(server, plan, []), run_in_threads, Crash())


class Words(ProducerPE):
    """Writes several (word, number) in each call, and one before and after all."""

    def __init__(self, times):
        super().__init__()
        self.times, self.number = times, 0

    def _preprocess(self):
        self.write("output", ("first", 0))

    def _process(self, inputs):
        for _ in range(self.times):
            self.number += 1
            self.write("output", ("abc"[self.number % 3], self.number))

    def _postprocess(self):
        self.write("output", ("last", self.number))


class Twice(IterativePE):
    """Writes each item twice in a call, a shade different."""

    def _process(self, data):
        word, number = data
        self.write("output", (word, number))
        return word, -number


class Count(GenericPE):
    """Counts per word; tells each count, and all of them at the end."""

    def __init__(self):
        super().__init__(2)
        self._add_input("input", grouping=[0])
        self._add_output("output")
        self.counts = {}

    def _preprocess(self):
        self.write("output", 1)

    def process(self, inputs):
        word, _ = inputs["input"]
        self.counts[word] = self.counts.get(word, 0) + 1
        return {"output": self.counts[word]}

    def _postprocess(self):
        for count in self.counts.values():
            self.write("output", 1000 * count)


class Sum(GenericPE):
    """Sends the sum so far with each item, and at the end."""

    def __init__(self):
        super().__init__()
        self._add_input("input", grouping="global")
        self._add_output("output")
        self._add_output("end")
        self.total = 0

    def process(self, inputs):
        self.total += inputs["input"]

    def _postprocess(self):
        self.write("end", self.total)


def make_graph(times):
    graph = WorkflowGraph()
    words, twice, count, total = Words(times), Twice(), Count(), Sum()
    graph.connect(words, "output", twice, "input")
    graph.connect(twice, "output", count, "input")
    graph.connect(count, "output", total, "input")
    return graph


def model(times, calls):
    """What comes out of that graph, by plain Python."""
    words = ["first", *("abc"[n % 3] for n in range(1, times * calls + 1)), "last"]
    counts = {word: 2 * words.count(word) for word in words}
    running = sum(n * (n + 1) // 2 for n in counts.values())
    return {"Sum3": {"end": [2 + running + 1000 * sum(counts.values())]}}


calls_of_the_store = st.sets(st.integers(0, 80), max_size=4)
some_runs = settings(
    deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


@pytest.mark.slow
class TestEveryCall:
    """One loss, at each call of the store in turn."""

    @pytest.mark.parametrize("how", ["before", "after"])
    @pytest.mark.parametrize("processes", [1, 3])
    def test_h2_on_a_table(self, crash, processes, how):
        number = 0
        while number == 0 or crash.last.happened:
            result = crash(make_graph(4), 3, processes, **{how: [number]})
            assert result.outputs == model(4, 3)
            number += 1
        assert number > 10

    @pytest.mark.parametrize("how", ["before", "after"])
    def test_h2_on_redis(self, crash_on_redis, how):
        for number in range(0, 40, 2):
            result = crash_on_redis(make_graph(4), 3, 2, **{how: [number + (how == "after")]})
            assert result.outputs == model(4, 3)


@pytest.mark.slow
class TestManyCalls:
    """Several losses, of workers that follow lost ones too."""

    @settings(some_runs, max_examples=100)
    @given(calls_of_the_store, calls_of_the_store, st.integers(1, 3), st.sampled_from([1.0, 0.001]))
    def test_h2_on_a_table(self, crash, before, after, processes, interval):
        result = crash(make_graph(5), 4, processes, before, after, interval)
        assert result.outputs == model(5, 4)

    @settings(some_runs, max_examples=25)
    @given(calls_of_the_store, calls_of_the_store, st.integers(1, 3))
    def test_h2_on_redis(self, crash_on_redis, before, after, processes):
        result = crash_on_redis(make_graph(5), 4, processes, before, after)
        assert result.outputs == model(5, 4)

    @settings(some_runs, max_examples=100)
    @given(graphs(), st.integers(0, 5), calls_of_the_store, calls_of_the_store, st.integers(1, 3))
    def test_h2_a_random_graph_gives_what_simple_gives(
        self, crash, graph, calls, before, after, processes
    ):
        expected = run(graph, inputs=calls).outputs
        result = crash(graph, calls, processes, before, after)
        assert_outputs(result.outputs, expected)

    @settings(some_runs, max_examples=60)
    @given(graphs(), st.integers(0, 5), calls_of_the_store, calls_of_the_store, st.integers(1, 3))
    def test_h2_where_calls_send_too_much_it_is_right_or_fails_clearly(
        self, crash, graph, calls, before, after, processes
    ):
        expected = run(graph, inputs=calls).outputs
        limits = QUICK._replace(outbox_bytes=100)
        try:
            result = crash(graph, calls, processes, before, after, limits=limits)
        except RunError as error:
            if "sent too much" not in str(error):
                raise
        else:
            assert_outputs(result.outputs, expected)


class Threaded(IterativePE):
    """Writes each item in its call, then four times by two threads, then again."""

    def _process(self, data):
        with ThreadPoolExecutor(2) as pool:
            self.write("output", (data, 0))
            for number in (1, 2, 3, 4):
                pool.submit(self.write, "output", (data, number))
        return data, 5


class ThreadedRoot(ProducerPE):
    """Does the same with its number."""

    number = 0

    def _process(self, inputs):
        self.number += 1
        return Threaded._process(self, self.number)


@pytest.mark.slow
@settings(some_runs, max_examples=60)
@given(
    st.sampled_from(["shared", "kept", "root"]),
    st.sampled_from([0, 100, 10**6]),
    calls_of_the_store,
    calls_of_the_store,
    st.integers(1, 3),
)
def test_i5_a_call_whose_threads_write_is_right_or_fails_clearly(
    crash, pe, outbox_bytes, before, after, processes
):
    graph = WorkflowGraph()
    threaded = ThreadedRoot() if pe == "root" else Threaded()
    if pe == "kept":
        threaded.stateful = True
    if pe == "root":
        graph.connect(threaded, "output", SimpleFunctionPE(tuple), "input")
    else:
        graph.connect(Tell(), "output", threaded, "input")
        graph.connect(threaded, "output", SimpleFunctionPE(tuple), "input")
    limits = QUICK._replace(outbox_bytes=outbox_bytes)
    try:
        outputs = crash(graph, 12, processes, before, after, limits=limits).outputs
    except RunError as error:
        if "sent too much" not in str(error) and "cannot be told" not in str(error):
            raise
    else:
        (got,) = (items["output"] for items in outputs.values())
        assert sorted(got) == [(call, number) for call in range(1, 13) for number in range(6)]


class Expands(IterativePE):
    """Writes an item eight times in a call, which goes on where it was cut off."""

    seeks = True
    starts: ClassVar = []  # of this process, so of all workers

    def _process(self, data):
        start = self.sent_before["output"]
        self.starts.append(start)
        for number in range(start, 8):
            self.write("output", (data, number))


class Expander(ProducerPE):
    """A root of that kind."""

    seeks = True
    calls = 0

    def _process(self, inputs):
        self.calls += 1
        Expands._process(self, self.calls)

    starts = Expands.starts


class Tell(ProducerPE):
    number = 0

    def _process(self, inputs):
        self.number += 1
        return self.number


@pytest.mark.parametrize("pe", ["shared", "kept", "root"])
def test_c5_a_call_goes_on_where_it_was_cut_off(crash, pe):
    graph = WorkflowGraph()
    expands = Expander() if pe == "root" else Expands()
    if pe == "root":
        graph.add(expands)
    else:
        expands.stateful = pe == "kept"
        graph.connect(Tell(), "output", expands, "input")
    expected = run(graph, inputs=3).outputs
    Expands.starts.clear()
    number = 0
    while number == 0 or crash.last.happened:
        assert_outputs(crash(graph, 3, 2, after=[number]).outputs, expected)
        number += 1
    assert number > 5
    assert {*Expands.starts} > {0}


class Dawdler(IterativePE):
    """Takes its time over some items, so that the rest is given away in the meantime."""

    def _process(self, data):
        _, number = data
        if number % 5 == 2:
            time.sleep(0.005)
        self.write("output", number)
        return -number


class TestRelief:
    """Losses of workers in the middle of calls that take long."""

    def survive(self, crash, before, after, processes):
        graph = WorkflowGraph()
        dawdlers = Dawdler(), Dawdler()
        graph.connect(Words(8), "output", dawdlers[0], "input")
        pair = SimpleFunctionPE(lambda number: ("", number))
        graph.connect(dawdlers[0], "output", pair, "input")
        graph.connect(pair, "output", dawdlers[1], "input")
        result = crash(graph, 4, processes, before, after)
        numbers = [0, *range(1, 33), 32]
        expected = sorted([*numbers, *numbers, *(-n for n in numbers), *(-n for n in numbers)])
        assert sorted(result.outputs["Dawdler3"]["output"]) == expected

    @settings(some_runs, max_examples=25)
    @given(calls_of_the_store, calls_of_the_store, st.integers(1, 3))
    def test_c5_on_a_table(self, crash, before, after, processes):
        self.survive(crash, before, after, processes)

    @settings(some_runs, max_examples=10)
    @given(calls_of_the_store, calls_of_the_store, st.integers(1, 3))
    def test_c5_on_redis(self, crash_on_redis, before, after, processes):
        self.survive(crash_on_redis, before, after, processes)


class Fetches(ProducerPE):
    """A root whose calls are independent: writes (who is called, number) several times.

    It may take its time over some calls, so that the rest is given away in the meantime.
    """

    independent_calls = True

    def __init__(self, times, dawdles, item_ids, seeks):
        super().__init__()
        self.times, self.dawdles = times, dawdles
        self.item_ids, self.seeks = item_ids, seeks

    def _process(self, inputs):
        number = inputs.pop("number", None)
        if self.dawdles and number and number % 5 == 2:
            time.sleep(0.005)
        who = self.item_id if self.item_ids else number
        for i in range(self.sent_before["output"] if self.seeks else 0, self.times):
            self.write("output", (who, i))


roots = st.builds(Fetches, st.integers(0, 3), st.booleans(), st.booleans(), st.booleans())


class TestSharedCalls:
    """Losses of workers that share the calls of a root."""

    def survive(self, crash, root, how, count, kept, before, after, processes):
        keeper = SimpleFunctionPE(lambda data: data)
        keeper.stateful = kept
        graph = WorkflowGraph()
        graph.connect(root, "output", keeper, "input")

        def inputs():
            dicts = [{"number": number} for number in range(count)]
            return {"number": count, "list": dicts, "iterator": iter(dicts)}[how]

        expected = run(graph, inputs=inputs()).outputs
        assert_outputs(crash(graph, inputs(), processes, before, after).outputs, expected)

    @settings(some_runs, max_examples=60)
    @given(
        roots,
        st.sampled_from(["number", "list", "iterator"]),
        st.integers(0, 40),
        st.booleans(),
        calls_of_the_store,
        calls_of_the_store,
        st.integers(1, 4),
    )
    def test_d3_on_a_table(self, crash, root, how, count, kept, before, after, processes):
        self.survive(crash, root, how, count, kept, before, after, processes)

    @settings(some_runs, max_examples=15)
    @given(
        roots,
        st.sampled_from(["number", "list", "iterator"]),
        st.integers(0, 40),
        st.booleans(),
        calls_of_the_store,
        calls_of_the_store,
        st.integers(1, 4),
    )
    def test_d3_on_redis(self, crash_on_redis, root, how, count, kept, before, after, processes):
        self.survive(crash_on_redis, root, how, count, kept, before, after, processes)


class Picky(IterativePE):
    """Writes an item several times in a call, and fails at every third item, at its end too."""

    def _process(self, data):
        for _ in range(3):
            self.write("output", data)
        if data % 3 == 0:
            raise ValueError("not this one")


class Picker(ProducerPE):
    """A root of that kind."""

    number = 0

    def _process(self, inputs):
        self.number += 1
        Picky._process(self, self.number)


@settings(some_runs, max_examples=60)
@given(calls_of_the_store, calls_of_the_store, st.integers(1, 3), st.booleans())
@pytest.mark.slow
def test_c3_a_skipped_item_is_listed_once_whoever_is_lost(crash, before, after, processes, kept):
    graph = WorkflowGraph()
    picky = Picky()
    picky.stateful = kept
    graph.connect(Picker(), "output", picky, "input")
    result = crash(graph, 5, processes, before, after, on_error="skip")
    listed = sorted((f.error.pe_id, f.error.item) for f in result.failures)
    assert listed == [("Picker0", "{}"), *[("Picky1", "3")] * 3]
    sent = [number for number in (1, 2, 3, 4, 5) for _ in range(9)]
    assert sorted(result.outputs["Picky1"]["output"]) == sent


class ReturnsBatches(IterativePE):
    """Returns what comes of each item."""

    def _process_batch(self, items):
        return [(word, 10 * number) for word, number in items]


class WritesBatches(ReturnsBatches):
    """Writes several items for each one, and then returns others."""

    def _process_batch(self, items):
        for word, number in items:
            for part in range(3):
                self.write("output", (word, 10 * number + 1 + part))
        return super()._process_batch(items)


class CountsBatches(ReturnsBatches):
    """Returns how many items it has got so far, with each of them."""

    stateful = True
    count = 0

    def _process_batch(self, items):
        first = self.count + 1
        self.count += len(items)
        return list(zip(range(first, self.count + 1), items, strict=True))


@pytest.mark.slow
@settings(some_runs, max_examples=60)
@given(
    st.sampled_from([ReturnsBatches, WritesBatches]),
    st.booleans(),
    st.sampled_from([0, 100, 10**6]),
    calls_of_the_store,
    calls_of_the_store,
    st.integers(1, 3),
)
def test_m7_a_call_with_several_items_is_right_or_fails_clearly(
    crash, kind, stateful, outbox_bytes, before, after, processes
):
    """It is always right if it only returns what it sends."""
    pe = kind()
    pe.stateful = stateful
    graph = WorkflowGraph()
    graph.connect(Words(7), "output", pe, "input")
    graph.connect(pe, "output", CountsBatches(), "input")
    expected = run(graph, inputs=4).outputs["CountsBatches2"]["output"]
    limits = QUICK._replace(outbox_bytes=outbox_bytes)
    try:
        result = crash(graph, 4, processes, before, after, limits=limits)
    except RunError as error:
        if kind is ReturnsBatches or "sent too much" not in str(error):
            raise
    else:
        found = result.outputs["CountsBatches2"]["output"]
        assert sorted(count for count, _ in found) == [*range(1, len(expected) + 1)]
        assert sorted(item for _, item in found) == sorted(item for _, item in expected)
