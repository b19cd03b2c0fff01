"""The task loop on a store in memory: threads instead of processes, and limits as small as wanted.

The driver is the real one, so that whole runs are seen, and compared with `simple`.
"""

import threading
import time

import pytest
from dynamic_helpers.loop_pes import EAGER, Slow, stateful
from dynamic_helpers.replayed_graphs import graphs
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from d4py_conformance.expected.compare import assert_outputs
from d4py_conformance.pes.common import Emit, Numbers, Relay
from d4py_conformance.pes.failing import Fails
from d4py_conformance.pes.lifecycle import Talker
from d4py_conformance.suite import chain
from d4py_conformance.waiting import LIMIT
from d4py_dynamic.worker.limits import WorkerLimits
from dispel4py import ConsumerPE, IterativePE, ProducerPE, WorkflowGraph, run
from dispel4py.errors import ProcessingError, ServiceError


class Gather(ConsumerPE):
    """Keeps the last number of each sender, and notes if one comes out of order."""

    def __init__(self):
        super().__init__()
        self._add_output("output")
        self.last = {}
        self.wrong = []

    def _process(self, data):
        sender, number = data
        if number <= self.last.get(sender, 0):
            self.wrong.append((data, self.last[sender]))
        self.last[sender] = number

    def _postprocess(self):
        self.write("output", (self.last, self.wrong))


# Whole runs.


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    graphs(),
    st.integers(0, 5),
    st.integers(1, 4),
    st.sampled_from([0, 1, 32]),
    st.sampled_from([WorkerLimits(), EAGER._replace(outbox_bytes=100)]),
)
def test_c2_a_random_graph_gives_what_simple_gives(
    execute, graph, calls, processes, most_waiting, limits
):
    expected = run(graph, inputs=calls).outputs
    result = execute(graph, calls, processes, most_waiting, most_results=2, limits=limits)
    assert_outputs(result.outputs, expected)


@pytest.mark.parametrize("processes", [1, 2, 5])
def test_i2_every_replica_is_prepared_and_finished_once(execute, processes):
    result = execute(chain(Numbers(), Slow(0.001), Talker()), 50, processes, limits=EAGER)
    got = result.outputs["Talker2"]["output"]
    assert sorted(item for item in got if not isinstance(item, str)) == [*range(1, 51)]
    replicas = got.count("pre")
    assert got.count("post") == replicas
    assert 1 <= replicas <= processes


def test_i3_a_shared_pe_is_prepared_and_finished_once_if_nothing_came(execute):
    result = execute(chain(Numbers(), Talker()), 0, 3)
    assert result.outputs == {"Talker1": {"output": ["pre", "post"]}}


class Greeter(Relay):
    """Has a preprocess and no postprocess."""

    def _preprocess(self):
        self.write("output", f"hello from {self.rank}")


def test_i2_a_replica_is_made_for_items_and_not_just_to_be_finished(execute):
    for processes in (1, 4, 4, 4, 4, 4):
        result = execute(chain(Numbers(), Greeter()), 5, processes)
        items = result.outputs["Greeter1"]["output"]
        greetings = [item for item in items if isinstance(item, str)]
        at_work = {f"hello from {s.rank}" for s in result.stats.instances if s.pe_id == "Greeter1"}
        assert sorted(greetings) == sorted(at_work)


def test_i1_a_single_pe_has_one_instance_though_it_is_stateless(execute):
    talker = Talker()
    talker.single = True
    result = execute(chain(Numbers(), Slow(0.001), talker), 40, 4, limits=EAGER)
    assert result.outputs["Talker2"]["output"].count("pre") == 1


def test_stats_count_every_call_once(execute):
    result = execute(chain(Numbers(), Relay(), stateful(Relay(), 3), Relay()), 500, 3, limits=EAGER)
    assert result.stats.items_per_pe() == {
        "Numbers0": 500,
        "Relay1": 500,
        "Relay2": 500,
        "Relay3": 500,
    }
    assert all(entry.seconds > 0 for entry in result.stats.instances)


# Balance.


class Meeting:
    """Knows which workers have processed an item; shared by all replicas of a PE."""

    def __init__(self, count):
        self.count, self.ranks = count, set()

    def __deepcopy__(self, memo):
        return self

    def is_complete(self):
        return len(self.ranks) >= self.count


class Joins(Relay):
    """Notes that its worker has got an item, and takes a while until all workers have."""

    def __init__(self, meeting):
        super().__init__()
        self.meeting = meeting

    def _process(self, data):
        self.meeting.ranks.add(self.rank)
        if not self.meeting.is_complete():
            time.sleep(0.01)
        return data


class WritesUntil(IterativePE):
    """Writes items in one call until it may stop."""

    def __init__(self, is_enough):
        super().__init__()
        self.is_enough = is_enough

    def __deepcopy__(self, memo):
        return self

    def _process(self, data):
        end = time.monotonic() + LIMIT
        while not self.is_enough():
            assert time.monotonic() < end, "nothing comes of what is written"
            self.write("output", data)
            time.sleep(0.001)


def test_work_is_given_away_while_others_are_idle(execute):
    meeting = Meeting(4)
    result = execute(chain(Numbers(), Joins(meeting)), 1000, 4)
    assert meeting.ranks == {0, 1, 2, 3}
    assert sorted(result.outputs["Joins1"]["output"]) == [*range(1, 1001)]


def test_what_one_call_writes_is_given_away_while_it_goes_on(execute):
    meeting = Meeting(4)
    execute(chain(Numbers(), WritesUntil(meeting.is_complete), Joins(meeting)), 1, 4)
    assert meeting.ranks == {0, 1, 2, 3}


def test_a_worker_alone_keeps_everything_to_itself(execute):
    limits = WorkerLimits(commit_seconds=1e9)  # however slow the machine is
    execute(chain(Numbers(), Relay(), Relay(), Relay()), 2000, 1, limits=limits)
    (store,) = execute.stores
    assert [task for _, commit in store.commits for task in commit.tasks] == []


def test_results_flow_during_a_long_lease(execute):
    seen = threading.Event()
    result = execute(
        chain(Numbers(), WritesUntil(seen.is_set), Relay()),
        processes=1,
        on_result=lambda *_: seen.set(),
    )
    assert seen.is_set()
    assert result.stats.items_per_pe()["WritesUntil1"] == 1


class CountsLooks(IterativePE):
    """Writes thousands of items in a call, and counts how often its worker looks meanwhile."""

    def __init__(self, store):
        super().__init__()
        self.store, self.looks = store, []

    def __deepcopy__(self, memo):
        return self

    def _process(self, data):
        before = self.store().looks
        for number in range(5000):
            self.write("output", number)
        self.looks.append(self.store().looks - before)


def test_limits_say_how_often_a_worker_looks_in_the_middle_of_a_call(execute):
    def looks(limits):
        pe = CountsLooks(lambda: execute.stores[-1])
        execute(chain(Numbers(), pe, Relay()), 3, processes=1, limits=limits)
        return pe.looks

    assert all(count >= 4 for count in looks(EAGER))
    assert (
        looks(WorkerLimits(load_seconds=1e9, commit_seconds=1e9, outbox_bytes=1 << 30)) == [0] * 3
    )


# Order.


class Label(ProducerPE):
    """Sends (its label, number) several times per call."""

    def __init__(self, label, times=7):
        super().__init__()
        self.label, self.times, self.number = label, times, 0

    def _process(self, inputs):
        for _ in range(self.times):
            self.number += 1
            self.write("output", (self.label, self.number))


@pytest.mark.parametrize("processes", [1, 2, 3])
@pytest.mark.parametrize("most_waiting", [0, 2, 32])
def test_m3_items_stay_in_order_however_much_waits(execute, processes, most_waiting):
    # Pinned instances that write to each other's owners, so that senders wait in mid-call and
    # work on what they own meanwhile.
    graph = WorkflowGraph()
    last = stateful(Gather())
    for label in "abc":
        source, middle, end = Label(label), stateful(Burst2()), stateful(Burst2())
        graph.connect(source, "output", middle, "input")
        graph.connect(middle, "output", end, "input")
        graph.connect(end, "output", last, "input")
    result = execute(graph, 30, processes, most_waiting, limits=EAGER)

    ((_, outputs),) = result.outputs.items()
    ((seen, wrong),) = outputs["output"]
    assert wrong == []
    assert seen == dict.fromkeys("abc", 30 * 7 * 4)


class Burst2(IterativePE):
    """Sends two numbers for each, ascending."""

    def _process(self, data):
        label, number = data
        self.write("output", (label, 2 * number - 1))
        self.write("output", (label, 2 * number))


# Errors.


@pytest.mark.parametrize("at", ["preprocess", "postprocess", [7]])
@pytest.mark.parametrize("kept", [False, True])
def test_c3_an_exception_ends_the_worker_and_the_run(execute, at, kept):
    pe = stateful(Fails(at)) if kept else Fails(at)
    with pytest.raises(ProcessingError, match="Fails1"):
        execute(chain(Numbers(), pe, Relay()), 20)


def test_c3_an_exception_below_a_call_that_waits_is_not_blamed_on_that_call(execute):
    graph = chain(Emit(range(3000)), stateful(Fails([2000])), stateful(Relay()))
    with pytest.raises(ProcessingError) as caught:
        execute(graph, 1, 1, most_waiting=0, limits=EAGER)
    assert caught.value.pe_id == "Fails1"
    assert caught.value.item == "2000"


def test_c3_skipped_items_are_listed_once(execute):
    graph = chain(Numbers(), Fails([3, 6]), stateful(Fails([4])), Relay())
    result = execute(graph, 10, 3, on_error="skip", limits=EAGER)
    assert sorted((f.pe_id, f.item) for f in result.failures) == [
        ("Fails1", 3),
        ("Fails1", 6),
        ("Fails2", 4),
    ]
    assert sorted(result.outputs["Relay3"]["output"]) == [1, 2, 5, 7, 8, 9, 10]


def test_a_store_that_fails_ends_the_worker_in_the_middle_of_a_lease(execute):
    def cut(*result):
        execute.stores[0].table.close("the wire is cut")

    with pytest.raises(ServiceError, match="the wire is cut"):
        execute(chain(Numbers(), Slow(0.01)), 10**6, 1, on_result=cut)
