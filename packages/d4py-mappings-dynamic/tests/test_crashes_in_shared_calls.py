"""Workers that are lost while they share the calls of a root: D3."""

import time

import pytest
from dynamic_helpers.crashes import calls_of_the_store, crashing, some_runs
from hypothesis import given, settings
from hypothesis import strategies as st

from d4py_conformance.expected.compare import assert_outputs
from dispel4py import ProducerPE, SimpleFunctionPE, WorkflowGraph, run


@pytest.fixture
def crash(local_store, run_in_threads, Crash):
    """See `crashing`; on a table."""
    return crashing(local_store, run_in_threads, Crash())


@pytest.fixture
def crash_on_redis(server, open_redis_store, run_in_threads, Crash):
    """The same on Redis."""
    return crashing(lambda plan: open_redis_store(server, plan, []), run_in_threads, Crash())


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
