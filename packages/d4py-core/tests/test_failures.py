"""Failures that are skipped are all counted; the first ones are kept, or all handed out."""

import gc
import threading
import weakref

import pytest

from dispel4py import (
    Failure,
    IterativePE,
    ProcessingError,
    ProducerPE,
    RunResult,
    RunStats,
    WorkflowGraph,
    run,
)
from dispel4py.engine.failures import FailureCollector, pes_without_success, skip_item
from dispel4py.engine.items.copying import copy_item
from dispel4py.engine.limits import EngineLimits
from dispel4py.engine.planning.capabilities import Capabilities
from dispel4py.result import InstanceStats


class Count(ProducerPE):
    n = 0

    def _process(self, inputs):
        self.n += 1
        return self.n


class Divide(IterativePE):
    def _process(self, data):
        if data % 3 == 0:
            raise ValueError(data)
        return 12 / (data % 3 - 2)


def graph():
    made = WorkflowGraph()
    made.connect(Count(), "output", Divide(), "input")
    return made


def failure(pe_id="Read1", reason="ValueError: 1", item=1, phase="process"):
    return Failure(ProcessingError(pe_id, 0, phase, str(item), reason, "Traceback"), item)


def test_all_are_counted_by_pe_phase_and_type():
    result = run(graph(), inputs=10, on_error="skip")

    counts = [(c.pe_id, c.phase, c.exception_type, c.failures) for c in result.failure_counts]
    assert sorted(counts) == [
        ("Divide1", "process", "ValueError", 3),
        ("Divide1", "process", "ZeroDivisionError", 3),
    ]
    assert [count.first for count in result.failure_counts] == [
        "Divide1 (instance 0) failed in process at item 2: ZeroDivisionError: division by zero",
        "Divide1 (instance 0) failed in process at item 3: ValueError: 3",
    ]


@pytest.mark.parametrize(("most", "most_bytes"), [(4, 10**9), (10**9, 40_000)])
def test_c6_so_many_are_kept(most, most_bytes):
    limits = EngineLimits(kept_failures=most, kept_failure_bytes=most_bytes)
    collector = FailureCollector(limits=limits)
    collector.add(failure(item=bytes(10_000)) for _ in range(100))

    assert len(collector.kept) == 4
    assert collector.counts[0].failures == 100


def test_they_are_handed_out_instead():
    got = []
    result = run(graph(), inputs=10, on_error="skip", on_failure=got.append)

    assert [one.item for one in got] == [2, 3, 5, 6, 8, 9]
    assert result.failures == []
    assert sum(count.failures for count in result.failure_counts) == 6


class Lists:
    """A mapping that knows of no counts."""

    name = "lists"
    capabilities = Capabilities()

    def add_arguments(self, parser):
        pass

    def run(self, graph, inputs, options):
        return RunResult({}, [failure(), failure()], RunStats("lists"))


def test_a_mapping_may_leave_that_to_core():
    got = []
    assert run(graph(), Lists()).failure_counts[0].failures == 2
    assert run(graph(), Lists(), on_failure=got.append).failures == []
    assert len(got) == 2


def test_i10_a_failure_refers_to_nothing_of_its_pe():
    held = []

    class Holds(IterativePE):
        def _process(self, data):
            mine = Divide()
            held.append(weakref.ref(mine))
            try:
                raise KeyError("k")
            except KeyError as error:
                raise ExceptionGroup("two", [ValueError(1)]) from error

    made = WorkflowGraph()
    made.connect(Count(), "output", Holds(), "input")
    result = run(made, inputs=1, on_error="skip")
    gc.collect()

    assert len(result.failures) == 1
    assert "KeyError: 'k'" in result.failures[0].error.__notes__[0]
    assert held[0]() is None


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([failure()] * 4, {"Read1": 4}),
        ([failure()] * 3 + [failure(reason="KeyError: 1")], {"Read1": 4}),
        ([failure()] * 3, {}),
        ([failure()] * 3 + [failure(phase="postprocess")], {}),
        ([failure(reason="dispel4py.errors.GroupingError: k")] * 9, {}),
        ([failure("Show2")], {}),
        ([], {}),
    ],
)
def test_a_pe_through_which_nothing_got_is_known(given, expected):
    collector = FailureCollector()
    collector.add(given)
    stats = RunStats("x", instances=[InstanceStats("Read1", rank, items=2) for rank in (0, 1)])

    assert pes_without_success(RunResult({}, [], stats, collector.counts)) == expected


class KeepAndFail(IterativePE):
    """Keeps its items, fails, and changes them in its next call and at the end."""

    stateful = True

    def __init__(self):
        super().__init__()
        self.kept = []

    def change(self):
        for item in self.kept:
            item["rows"].append("changed")

    def _process(self, data):
        self.change()
        self.kept.append(data)
        raise ValueError("no")

    def _postprocess(self):
        self.change()


class Row(ProducerPE):
    def _process(self, inputs):
        return {"rows": [[1], [2]]}


def test_m2_what_a_pe_does_later_to_an_item_that_failed_is_not_seen_in_the_failure():
    made = WorkflowGraph()
    made.connect(Row(), "output", KeepAndFail(), "input")
    result = run(made, inputs=3, on_error="skip")
    assert [failure.item for failure in result.failures] == [{"rows": [[1], [2]]}] * 3


def test_an_item_that_cannot_be_copied_is_in_its_failure_as_it_is():
    lock = threading.Lock()
    assert skip_item(failure().error, lock, copy_item).item is lock
