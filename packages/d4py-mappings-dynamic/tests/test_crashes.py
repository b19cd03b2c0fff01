"""Workers that are lost at any of their calls of the store: C5 and H2 for the protocol itself.

Workers are threads here, and a lost one is one that raises `Crash` where it would call its store,
or when the store has done what it was called for and before the worker hears of it.  The driver is
the real one: it gives lost workers up and starts others.  What comes out has to be what `simple`
gives, item by item, and something has to come out in any case.
"""

import time

import pytest
from dynamic_helpers.crashes import QUICK, Words, calls_of_the_store, crashing, some_runs
from dynamic_helpers.replayed_graphs import graphs
from hypothesis import given, settings
from hypothesis import strategies as st

from d4py_conformance.expected.compare import assert_outputs
from dispel4py import GenericPE, IterativePE, ProducerPE, SimpleFunctionPE, WorkflowGraph, run
from dispel4py.errors import RunError


@pytest.fixture
def crash(local_store, run_in_threads, Crash):
    """See `crashing`; on a table."""
    return crashing(local_store, run_in_threads, Crash())


@pytest.fixture
def crash_on_redis(server, open_redis_store, run_in_threads, Crash):
    """The same on Redis."""
    return crashing(lambda plan: open_redis_store(server, plan, []), run_in_threads, Crash())


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


class Tell(ProducerPE):
    number = 0

    def _process(self, inputs):
        self.number += 1
        return self.number


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
