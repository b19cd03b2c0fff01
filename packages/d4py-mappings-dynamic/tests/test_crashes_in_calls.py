"""Workers that are lost in calls that take threads, batches or several commits, or that fail."""

from concurrent.futures import ThreadPoolExecutor
from typing import ClassVar

import pytest
from dynamic_helpers.crashes import QUICK, Words, calls_of_the_store, crashing, some_runs
from hypothesis import given, settings
from hypothesis import strategies as st

from d4py_conformance.expected.compare import assert_outputs
from dispel4py import IterativePE, ProducerPE, SimpleFunctionPE, WorkflowGraph, run
from dispel4py.errors import RunError


@pytest.fixture
def crash(local_store, run_in_threads, Crash):
    """See `crashing`; on a table."""
    return crashing(local_store, run_in_threads, Crash())


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
def test_c3_a_skipped_item_is_listed_once_whichever_worker_is_lost(
    crash, before, after, processes, kept
):
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
