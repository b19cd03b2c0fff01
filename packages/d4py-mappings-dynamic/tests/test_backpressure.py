"""C6: a worker that has sent too much waits, and the run goes on all the same."""

import time

import pytest
from dynamic_helpers.loop_pes import EAGER, Burst, Slow, SlowNumbers, stateful
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from d4py_conformance.pes.common import Emit, Numbers, Relay
from d4py_conformance.pes.lifecycle import Diary, Total
from d4py_conformance.suite import chain
from d4py_conformance.waiting import wait_until
from d4py_dynamic.worker.limits import WorkerLimits
from d4py_dynamic.worker.pinned_instance import PinnedInstance
from dispel4py import GenericPE, ProducerPE, WorkflowGraph, run

#: Output of any size is committed at once, and the load looked at as often as possible.
HASTY = WorkerLimits(load_seconds=0.0, outbox_bytes=0)


@pytest.mark.parametrize("processes", [1, 2])
def test_c6_a_root_waits_for_slow_followers_that_any_worker_may_run(execute, processes):
    ahead = []

    def look(*result):
        ahead.append(execute.stores[0].calls(0) - len(ahead))
        if len(ahead) == 100:
            raise KeyError("enough was seen")

    with pytest.raises(KeyError, match="enough"):
        execute(chain(SlowNumbers(0.0001), Slow(0.01)), 10**6, processes, on_result=look)
    assert max(ahead) < 1000  # in that time it could be called 5,000 times


@pytest.mark.parametrize("processes", [1, 3])
def test_c6_one_call_that_writes_much_waits_for_its_receiver(execute, processes):
    most = 0

    class Watch(Total):
        def _process(self, data):
            nonlocal most
            most = max(most, execute.stores[0].driver.queue_length(1, 0))
            super()._process(data)

    result = execute(
        chain(Emit(range(50_000)), Watch()),
        1,
        processes,
        most_waiting=4,
        limits=WorkerLimits(outbox_bytes=10_000),
    )
    assert result.outputs == {"Watch1": {"output": [sum(range(50_000))]}}
    assert 2 <= most <= 6


def test_c6_a_call_whose_commits_another_thread_makes_waits_for_its_receiver(execute):
    sent, waiting = 60, []

    class WaitsForCommits(ProducerPE):
        """Writes the next item once the last one was committed, so no commit is due then."""

        def _process(self, inputs):
            for number in range(sent):
                self.write("output", number)
                wait_until(lambda number=number: Watch.begun + length() > number, "a commit")

    class Watch(Total):
        begun = 0

        def _process(self, data):
            waiting.append(length())
            Watch.begun += 1
            time.sleep(0.03)
            super()._process(data)

    def length():
        return execute.stores[0].driver.queue_length(1, 0)

    limits = WorkerLimits(preempt_seconds=0.001, commit_seconds=0.005)
    execute(chain(WaitsForCommits(), Watch()), 1, 2, most_waiting=4, limits=limits)
    assert max(waiting) <= 8


def test_c6_results_wait_for_a_slow_caller(execute):
    waiting = []
    seen = []

    def look(pe_id, output, item):
        seen.append(item)
        if len(seen) % 5000 == 0:
            time.sleep(0.02)
            waiting.append(execute.stores[0].driver.missing_results())

    execute(
        chain(Emit(range(50_000)), Relay()),
        1,
        3,
        most_results=4,
        on_result=look,
        limits=WorkerLimits(outbox_bytes=10_000),
    )
    assert sorted(seen) == [*range(50_000)]
    assert 0 < max(waiting) <= 4 + 3


@pytest.mark.parametrize(
    ("processes", "depth"),
    [(1, 3), (3, 3), pytest.param(1, 199, marks=pytest.mark.slow), (3, 40)],
)
def test_c6_a_chain_of_stateful_pes_with_next_to_no_room_ends(execute, processes, depth):
    pes = [stateful(Relay()) for _ in range(depth)]
    result = execute(
        chain(Numbers(), *pes), 100, processes, most_waiting=0, most_results=0, limits=EAGER
    )
    (outputs,) = result.outputs.values()
    assert len(outputs["output"]) == 100


@pytest.mark.parametrize("processes", [1, 2, 4])
def test_c6_calls_that_write_much_all_the_way_down_end(execute, processes):
    pes = [stateful(Burst(6)) for _ in range(4)]
    result = execute(
        chain(Numbers(), *pes, stateful(Relay())), 3, processes, most_waiting=0, limits=EAGER
    )
    assert sorted(result.outputs["Relay5"]["output"]) == [*range(6**4, 4 * 6**4)]


class Cross(GenericPE):
    """Sends each item to both sides, many times in one call."""

    def __init__(self, times):
        super().__init__()
        self._add_input("input")
        self._add_output("left")
        self._add_output("right")
        self.times, self.stateful = times, True

    def process(self, inputs):
        for _ in range(self.times):
            self.write("left", inputs["input"])
            self.write("right", inputs["input"])


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.data())
@pytest.mark.slow
def test_c6_owners_that_wait_for_each_other_go_on(execute, data):
    """Layers of stateful PEs, each fed by any of the layer above, with next to no room."""
    graph = WorkflowGraph()
    above = [Numbers() for _ in range(data.draw(st.integers(1, 3)))]
    for root in above:
        graph.add(root)
    width = data.draw(st.integers(2, 4))
    for layer in range(data.draw(st.integers(2, 4))):
        here = [Cross(data.draw(st.integers(1, 3))) for _ in range(width)]
        for pe in here:
            for source in data.draw(st.sets(st.sampled_from(above), min_size=1, max_size=2)):
                output = data.draw(st.sampled_from(["left", "right"])) if layer else "output"
                graph.connect(source, output, pe, "input")
        above = here
    expected = {
        pe: {name: len(items) for name, items in outputs.items()}
        for pe, outputs in run(graph, inputs=2).outputs.items()
    }
    processes = data.draw(st.integers(1, 4))
    outputs = execute(graph, 2, processes, 0, 0, limits=HASTY).outputs
    assert {
        pe: {name: len(items) for name, items in named.items()} for pe, named in outputs.items()
    } == expected


class Shut(Total):
    """Does nothing before some other PEs have begun, or a while has passed."""

    def __init__(self, *others):
        super().__init__()
        self.others = others

    def __deepcopy__(self, memo):
        return self

    def _process(self, data):
        until = time.monotonic() + 0.15
        while time.monotonic() < until and not all(pe.begun for pe in self.others):
            time.sleep(0.001)
        super()._process(data)


class Begins(Relay):
    """Notes that it has begun, and sends several items, one by one, in a call."""

    begun = False
    stateful = True

    def __deepcopy__(self, memo):
        return self

    def _process(self, data):
        self.begun = True
        for _ in range(9):
            time.sleep(0.011)  # longer than what is written lingers
            self.write("output", data)


def test_c6_two_owners_that_hold_up_each_other_in_what_they_began_meanwhile_go_on(execute):
    # H and K wait for receivers that are shut.  Their owners could begin Y and Z meanwhile; if both
    # did, Y would wait for K, Z for H, and neither H nor K could go on.
    graph = WorkflowGraph()
    root, h, k, y, z = Numbers(), Begins(), Begins(), Begins(), Begins()
    shut_h, shut_k = Shut(y, z), Shut(y, z)
    for source, destination in [(root, h), (root, k), (root, y), (root, z), (y, k), (z, h)]:
        graph.connect(source, "output", destination, "input")
    graph.connect(h, "output", shut_h, "input")
    graph.connect(k, "output", shut_k, "input")
    owned = [[root], [h, y], [k, z], [shut_h], [shut_k]]
    result = execute(graph, 1, most_waiting=1, owned=owned, limits=WorkerLimits(outbox_bytes=0))
    assert len(result.outputs) == 2


def test_c6_an_owner_that_waits_for_a_receiver_begins_nothing_that_feeds_it(execute, wait_until):
    class Slow(Total):
        def __deepcopy__(self, memo):
            return self

        def _process(self, data):
            store = execute.stores[0]
            if not self.total:
                wait_until(lambda: store.driver.queue_length(2, 0) >= 5, "senders that are stopped")
                time.sleep(0.1)  # in which they could send more
            most.append(store.driver.queue_length(2, 0))
            super()._process(data)

    most = []
    numbers, middle, last = SlowNumbers(0.006), stateful(Relay()), Slow()
    graph = chain(numbers, middle, last)
    execute(graph, 100, most_waiting=4, owned=[[numbers], [middle], [last]])
    assert len(most) == 100
    assert 5 <= max(most) <= 6


class Reenter(Relay):
    """Fails if it is called while it is in the middle of a call."""

    inside = False

    def _process(self, data):
        assert not self.inside, "called in the middle of a call"
        self.inside = True
        for _ in range(3):
            time.sleep(0.011)  # longer than what is written lingers
            self.write("output", data)
        self.inside = False


def test_i2_no_pe_is_called_in_the_middle_of_its_call(execute):
    # In the middle of a call of `shared`, what the root wrote for `last` finds no room; `side` may
    # go on meanwhile, and feeds `shared`.
    graph = WorkflowGraph()
    numbers, shared, side, last = Emit([1] * 4), Reenter(), stateful(Relay("Side")), Total()
    for destination in (last, side, shared):
        graph.connect(numbers, "output", destination, "input")
    graph.connect(side, "output", shared, "input")
    for processes in (1, 2, 3):
        result = execute(
            graph,
            2,
            processes,
            most_waiting=0,
            limits=HASTY,
        )
        assert result.outputs["Total1"]["output"] == [8]
        assert result.outputs["Reenter3"]["output"] == [1] * 48


def test_c6_a_worker_that_waits_processes_any_number_of_leases_meanwhile(execute, monkeypatch):
    slow, busy = stateful(SlowAtFirst(1.0)), stateful(Diary())
    numbers, relay = Emit(range(800)), Relay()
    graph = chain(numbers, relay)
    graph.connect(relay, "output", slow, "input")
    graph.connect(relay, "output", busy, "input")
    # One item at a time, each saved: as after a loss.
    monkeypatch.setattr(PinnedInstance, "on_probation", property(lambda self: self.pin[0] == 3))
    owned = [[busy], [numbers, slow]]
    outputs = execute(graph, 1, most_waiting=0, owned=owned).outputs
    assert sorted(outputs["SlowAtFirst2"]["output"]) == [*range(800)]


class SlowAtFirst(Relay):
    def __init__(self, seconds):
        super().__init__()
        self.seconds = seconds

    def _process(self, data):
        time.sleep(self.seconds)
        self.seconds = 0.0
        return data
