"""The task loop on a table: threads instead of processes, and limits as small as wanted.

The driver is the real one, so that whole runs are seen, and compared with `simple`.
"""

import functools
import itertools
import time

import pytest
from dynamic_helpers.replayed_graphs import graphs
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from d4py_conformance.expected.compare import assert_outputs
from d4py_conformance.pes.common import Emit, Numbers, Relay
from d4py_conformance.pes.failing import Fails
from d4py_conformance.pes.lifecycle import Diary, Talker, Total
from d4py_dynamic.store.serialization import CODEC
from d4py_dynamic.store.tasks import ANY, ASSIGN, CALLS, ITEMS, ResumePoint, StoreStatus, Task
from d4py_dynamic.worker import load as demand
from d4py_dynamic.worker import loop as worker
from d4py_dynamic.worker import outbox
from d4py_dynamic.worker.loop import Worker
from d4py_dynamic.worker.pinned_instance import PinnedInstance
from dispel4py import ConsumerPE, GenericPE, IterativePE, ProducerPE, WorkflowGraph, run
from dispel4py.engine.plan import make_plan, replicate_stateless
from dispel4py.errors import ProcessingError, ServiceError


def look_up_always(patch):
    """Have workers look up between any two batches."""
    patch.setattr(demand, "LOOK_UP_SECONDS", 0.0)
    known = demand.LoadMonitor()
    known.note(StoreStatus(0))
    assert known.is_to_be_looked_at, "this has lost its effect"


@pytest.fixture
def small_batches(monkeypatch):
    """Everything travels as soon as possible."""
    look_up_always(monkeypatch)
    monkeypatch.setattr(worker, "COMMIT_SECONDS", 0.0)
    monkeypatch.setattr(outbox, "HEAVY", 500)


def chain(*pes):
    graph = WorkflowGraph()
    graph.add(pes[0])
    for source, destination in itertools.pairwise(pes):
        graph.connect(source, "output", destination, "input")
    return graph


def stateful(pe, instances=1):
    pe.stateful, pe.numprocesses = True, instances
    return pe


class Burst(IterativePE):
    """Writes each item many times in one call."""

    def __init__(self, times):
        super().__init__()
        self.times = times

    def _process(self, data):
        for i in range(self.times):
            self.write("output", data * self.times + i)


class Slow(Relay):
    def __init__(self, seconds):
        super().__init__()
        self.seconds = seconds

    def _process(self, data):
        time.sleep(self.seconds)
        return data


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


class SlowNumbers(Numbers):
    def __init__(self, seconds):
        super().__init__()
        self.seconds = seconds

    def _process(self, inputs):
        time.sleep(self.seconds)
        return super()._process(inputs)


# Whole runs.


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(graphs(), st.integers(0, 5), st.integers(1, 4), st.sampled_from([0, 1, 32]), st.booleans())
def test_c2_a_random_graph_gives_what_simple_gives(
    execute, monkeypatch, graph, calls, processes, most_waiting, small
):
    expected = run(graph, inputs=calls).outputs
    with monkeypatch.context() as patch:
        if small:
            look_up_always(patch)
            patch.setattr(worker, "COMMIT_SECONDS", 0.0)
            patch.setattr(outbox, "HEAVY", 100)
        result = execute(graph, calls, processes, most_waiting, most_results=2)
    assert_outputs(result.outputs, expected)


@pytest.mark.parametrize("processes", [1, 2, 5])
def test_i2_every_replica_is_prepared_and_finished_once(execute, processes, small_batches):
    result = execute(chain(Numbers(), Slow(0.001), Talker()), 50, processes)
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


def test_i1_a_single_pe_has_one_instance_though_it_is_stateless(execute, small_batches):
    talker = Talker()
    talker.single = True
    result = execute(chain(Numbers(), Slow(0.001), talker), 40, 4)
    assert result.outputs["Talker2"]["output"].count("pre") == 1


def test_stats_count_every_call_once(execute, small_batches):
    result = execute(chain(Numbers(), Relay(), stateful(Relay(), 3), Relay()), 500, 3)
    assert result.stats.items_per_pe() == {
        "Numbers0": 500,
        "Relay1": 500,
        "Relay2": 500,
        "Relay3": 500,
    }
    assert all(entry.seconds > 0 for entry in result.stats.instances)


# Balance.


def test_work_is_given_away_while_others_are_idle(execute):
    started_at = time.monotonic()
    result = execute(chain(Numbers(), Slow(0.01)), 80, 4)
    assert time.monotonic() - started_at < 0.8 * 0.7  # alone it would take 0.8 s
    ranks = {entry.rank for entry in result.stats.instances if entry.pe_id == "Slow1"}
    assert ranks == {0, 1, 2, 3}


def test_what_one_call_writes_is_given_away_while_it_goes_on(execute):
    started_at = time.monotonic()
    result = execute(chain(Numbers(), Burst(80), Slow(0.01)), 1, 4)
    assert time.monotonic() - started_at < 0.8 * 0.7
    ranks = {entry.rank for entry in result.stats.instances if entry.pe_id == "Slow2"}
    assert ranks == {0, 1, 2, 3}


def test_a_worker_alone_keeps_everything_to_itself(execute):
    execute(chain(Numbers(), Relay(), Relay(), Relay()), 2000, 1)
    (store,) = execute.stores
    assert [task for _, commit in store.commits for task in commit.tasks] == []


def test_results_flow_during_a_long_lease(execute):
    seen_at = []
    started_at = time.monotonic()
    execute(
        chain(Numbers(), Burst(100), Slow(0.01)),
        processes=1,
        on_result=lambda *_: seen_at.append(time.monotonic() - started_at),
    )
    assert len(seen_at) == 100
    assert seen_at[0] < 0.6 < 0.9 < seen_at[-1]


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
def test_m3_items_stay_in_order_however_much_waits(execute, small_batches, processes, most_waiting):
    # Pinned instances that write to each other's owners, so that senders wait in mid-call and
    # work on what they own meanwhile.
    graph = WorkflowGraph()
    last = stateful(Gather())
    for label in "abc":
        source, middle, end = Label(label), stateful(Burst2()), stateful(Burst2())
        graph.connect(source, "output", middle, "input")
        graph.connect(middle, "output", end, "input")
        graph.connect(end, "output", last, "input")
    result = execute(graph, 30, processes, most_waiting)

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


# Backpressure.


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
def test_c6_one_call_that_writes_much_waits_for_its_receiver(execute, monkeypatch, processes):
    monkeypatch.setattr(outbox, "HEAVY", 10_000)
    most = 0

    class Watch(Total):
        def _process(self, data):
            nonlocal most
            most = max(most, execute.stores[0].driver.queue_length(1, 0))
            super()._process(data)

    result = execute(chain(Emit(range(50_000)), Watch()), 1, processes, most_waiting=4)
    assert result.outputs == {"Watch1": {"output": [sum(range(50_000))]}}
    assert 2 <= most <= 6


def test_c6_results_wait_for_a_slow_caller(execute, monkeypatch):
    monkeypatch.setattr(outbox, "HEAVY", 10_000)
    waiting = []
    seen = []

    def look(pe_id, output, item):
        seen.append(item)
        if len(seen) % 5000 == 0:
            time.sleep(0.02)
            waiting.append(execute.stores[0].driver.missing_results())

    execute(chain(Emit(range(50_000)), Relay()), 1, 3, most_results=4, on_result=look)
    assert sorted(seen) == [*range(50_000)]
    assert 0 < max(waiting) <= 4 + 3


@pytest.mark.parametrize(
    ("processes", "depth"),
    [(1, 3), (3, 3), pytest.param(1, 199, marks=pytest.mark.slow), (3, 40)],
)
def test_c6_a_chain_of_stateful_pes_with_next_to_no_room_ends(
    execute, small_batches, processes, depth
):
    pes = [stateful(Relay()) for _ in range(depth)]
    result = execute(chain(Numbers(), *pes), 100, processes, most_waiting=0, most_results=0)
    (outputs,) = result.outputs.values()
    assert len(outputs["output"]) == 100


@pytest.mark.parametrize("processes", [1, 2, 4])
def test_c6_calls_that_write_much_all_the_way_down_end(execute, small_batches, processes):
    pes = [stateful(Burst(6)) for _ in range(4)]
    result = execute(chain(Numbers(), *pes, stateful(Relay())), 3, processes, most_waiting=0)
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
def test_c6_owners_that_wait_for_each_other_go_on(execute, monkeypatch, data):
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
    with monkeypatch.context() as patch:
        look_up_always(patch)
        patch.setattr(outbox, "HEAVY", 0)
        outputs = execute(graph, 2, processes, 0, 0).outputs
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


def test_c6_two_owners_that_hold_up_each_other_in_what_they_began_meanwhile_go_on(
    execute, monkeypatch
):
    # H and K wait for receivers that are shut.  Their owners could begin Y and Z meanwhile; if both
    # did, Y would wait for K, Z for H, and neither H nor K could go on.
    monkeypatch.setattr(outbox, "HEAVY", 0)
    graph = WorkflowGraph()
    root, h, k, y, z = Numbers(), Begins(), Begins(), Begins(), Begins()
    shut_h, shut_k = Shut(y, z), Shut(y, z)
    for source, destination in [(root, h), (root, k), (root, y), (root, z), (y, k), (z, h)]:
        graph.connect(source, "output", destination, "input")
    graph.connect(h, "output", shut_h, "input")
    graph.connect(k, "output", shut_k, "input")
    owned = [[root], [h, y], [k, z], [shut_h], [shut_k]]
    result = execute(graph, 1, most_waiting=1, owned=owned)
    assert len(result.outputs) == 2


def test_c6_who_waits_for_a_receiver_begins_nothing_that_feeds_it(execute):
    class Slow(Total):
        def __deepcopy__(self, memo):
            return self

        def _process(self, data):
            if not self.total:
                time.sleep(0.8)  # longer than its senders would need for everything
            most.append(execute.stores[0].driver.queue_length(2, 0))
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


def test_i2_no_pe_is_called_in_the_middle_of_its_call(execute, monkeypatch):
    # In the middle of a call of `shared`, what the root wrote for `last` finds no room; `side` may
    # go on meanwhile, and feeds `shared`.
    monkeypatch.setattr(outbox, "HEAVY", 0)
    look_up_always(monkeypatch)
    graph = WorkflowGraph()
    numbers, shared, side, last = Emit([1] * 4), Reenter(), stateful(Relay("Side")), Total()
    for destination in (last, side, shared):
        graph.connect(numbers, "output", destination, "input")
    graph.connect(side, "output", shared, "input")
    for processes in (1, 2, 3):
        result = execute(graph, 2, processes, most_waiting=0)
        assert result.outputs["Total1"]["output"] == [8]
        assert result.outputs["Reenter3"]["output"] == [1] * 48


# Errors.


@pytest.mark.parametrize("at", ["preprocess", "postprocess", [7]])
@pytest.mark.parametrize("kept", [False, True])
def test_c3_an_exception_ends_the_worker_and_the_run(execute, at, kept):
    pe = stateful(Fails(at)) if kept else Fails(at)
    with pytest.raises(ProcessingError, match="Fails1"):
        execute(chain(Numbers(), pe, Relay()), 20)


def test_c3_an_exception_below_a_call_that_waits_is_not_blamed_on_that_call(execute, small_batches):
    graph = chain(Emit(range(3000)), stateful(Fails([2000])), stateful(Relay()))
    with pytest.raises(ProcessingError) as caught:
        execute(graph, 1, 1, most_waiting=0)
    assert caught.value.pe_id == "Fails1"
    assert caught.value.item == "2000"


def test_c3_skipped_items_are_listed_once(execute, small_batches):
    graph = chain(Numbers(), Fails([3, 6]), stateful(Fails([4])), Relay())
    result = execute(graph, 10, 3, on_error="skip")
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


# One lease at a time.


class Script:
    """A table with some workers, of which one works."""

    def __init__(self, local_store, threads, graph, owners):
        self.plan = replicate_stateless(make_plan(graph))
        self.store = local_store(self.plan)
        self.threads = threads
        self.driver = self.store.driver
        for rank, own in enumerate(owners):
            self.driver.join()
            self.driver.put([Task(ASSIGN, *pin) for pin in own], rank)

    def serve(self, tasks, until):
        """Let worker 0 do tasks until something is true."""
        self.driver.put(tasks)
        threads = self.threads(lambda rank: Worker(self.plan, self.store.worker(rank), rank), [0])
        end = time.monotonic() + 10
        while not until(self.store):
            assert threads.check() == []
            assert time.monotonic() < end, "it did not come to that"
            time.sleep(0.002)
        self.driver.delete()
        assert threads.join(5)

    @property
    def commits(self):
        """Those that were about work."""
        return [commit for _, commit in self.store.commits if not ordered(commit)]


def ordered(commit):
    return [lease.task.kind for lease in commit.leases] == [ASSIGN]


@pytest.fixture
def script(local_store, threads):
    """Makes a `Script`."""
    return functools.partial(Script, local_store, threads)


def results_of(commits):
    return [item for commit in commits for _, _, items in commit.results for item in items]


def test_h2_how_far_a_root_has_come_is_committed_with_what_it_sent(script):
    script = script(chain(SlowNumbers(0.006), Relay()), [[(0, 0)]])
    script.serve([Task(CALLS, 0, 0, None, 80)], lambda store: store.calls(0) == 80)
    *before, last = script.commits
    assert before
    sent = 0
    for commit in before:
        sent += len(results_of([commit]))
        assert commit.instance_positions == [((0, 0), ResumePoint(sent, ()))]
        assert [pin for pin, _ in commit.states] == [(0, 0)]
        assert commit.leases == []
    assert last.pinned == [((0, 0), ResumePoint())]
    assert [lease.task.payload for lease in last.leases] == [80]
    assert results_of(script.commits) == [*range(1, 81)]


def test_h2_so_is_that_of_calls_that_were_listed(script):
    script = script(chain(Slow(0.006), Relay()), [[(0, 0)]])
    given = [{"input": number} for number in range(80)]
    script.serve([Task(CALLS, 0, 0, None, given)], lambda store: store.calls(0) == 80)
    assert results_of(script.commits) == [*range(80)]
    done = [position.done for commit in script.commits for _, position in commit.instance_positions]
    assert done[-1] == 0
    assert done[:-1] == sorted({*done[:-1]})
    assert 0 < done[0] < 80


def test_a_lease_and_all_that_it_made_are_in_one_commit_where_it_is_quick(script):
    script = script(chain(Numbers(), Relay(), stateful(Diary())), [[(0, 0), (2, 0)]])
    script.serve([Task(CALLS, 0, 0, None, 10)], lambda store: store.calls(1))
    commit = script.commits[0]
    assert [lease.task.kind for lease in commit.leases] == [CALLS]
    assert commit.tasks == [Task(ITEMS, 2, 0, "input", [*range(1, 11)])]
    assert [(pe, calls) for pe, calls, _ in commit.counters] == [(0, 10), (1, 10)]
    ((pin, state),) = commit.states
    assert pin == (0, 0)
    assert CODEC.loads(state).counter == 10


def test_a_root_gives_its_followers_to_the_idle_at_once(script, small_batches):
    script = script(chain(Numbers(), Relay()), [[(0, 0)], []])  # the second one is new, so idle
    script.serve(
        [Task(CALLS, 0, 0, None, 10)], lambda store: not any(store.driver.unfinished([]).values())
    )
    first, *_ = (commit for commit in script.commits if commit.instance_positions)
    assert first.tasks == [Task(ITEMS, 1, ANY, "input", [1])]
    assert first.results == []
    assert sorted(results_of(script.commits)) == [*range(1, 11)]


def test_c6_who_waits_for_room_does_any_number_of_leases_meanwhile(execute, monkeypatch):
    slow, busy = stateful(SlowAtFirst(1.0)), stateful(Diary())
    numbers, relay = Emit(range(800)), Relay()
    graph = chain(numbers, relay)
    graph.connect(relay, "output", slow, "input")
    graph.connect(relay, "output", busy, "input")
    # One item at a time, each saved: as after a loss.
    monkeypatch.setattr(PinnedInstance, "in_doubt", property(lambda self: self.pin[0] == 3))
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
