"""When an owner takes checkpoints of an instance, and what is in them."""

import sys

import pytest

from d4py_conformance.pes.common import Numbers
from d4py_conformance.pes.lifecycle import Total
from d4py_dynamic.store.serialization import CODEC
from d4py_dynamic.store.tasks import ITEMS, AdoptedInstance, Lease, ResumePoint, Task
from d4py_dynamic.worker import pinned_instance
from d4py_dynamic.worker.loop import Worker
from d4py_dynamic.worker.pinned_instance import PinnedInstance
from dispel4py import WorkflowGraph
from dispel4py.engine.calls.runner import Runner
from dispel4py.engine.planning.plan import make_plan, replicate_stateless
from dispel4py.errors import RunError

PIN = (1, 0)
NEW = AdoptedInstance(None, ResumePoint(), [])


@pytest.fixture
def clock(monkeypatch):
    """A clock that goes on when it is told to."""

    class Clock:
        now = 1000.0

        def __call__(self):
            return self.now

    clock = Clock()
    monkeypatch.setattr(pinned_instance, "monotonic", clock)
    monkeypatch.setattr(pinned_instance, "thread_time", clock)
    return clock


@pytest.fixture
def plan():
    graph = WorkflowGraph()
    graph.connect(Numbers(), "output", Total(), "input")
    return replicate_stateless(make_plan(graph))


@pytest.fixture
def runner(plan):
    runner = Runner(plan.pes[1], 0, lambda runner: None)
    runner.track()
    return runner


def checkpoint(it, runner, clock, seconds):
    """Take a checkpoint of a state that takes so many seconds to pickle."""

    def pickled(value):
        clock.now += seconds
        return CODEC.dumps(value)

    state, position = it.checkpoint(SlowToPickle(runner, pickled))
    it.saved(0.0)
    return state, position


class SlowToPickle:
    def __init__(self, runner, dumps):
        self._runner, self._dumps = runner, dumps

    def snapshot(self, dumps):
        return self._runner.snapshot(self._dumps)

    def __getattr__(self, name):
        return getattr(self._runner, name)


@pytest.mark.parametrize(("size", "least", "most"), [(100, 0.0, 0.01), (50_000_000, 0.99, 1.0)])
def test_h2_what_a_commit_takes_is_a_cost_as_far_as_the_state_makes_it(
    runner, clock, size, least, most
):
    runner.pe.kept = bytes(size)
    it = PinnedInstance(PIN, NEW, interval=1000.0)
    it.checkpoint(runner)
    it.saved(1.0)
    assert least <= it.cost <= most


@pytest.mark.parametrize("cost", [0.0001, 0.001, 0.01])
def test_h2_checkpoints_take_five_percent_of_the_time_at_most(runner, clock, cost):
    it = PinnedInstance(PIN, NEW, interval=1.0)
    spent, started_at = 0.0, clock.now
    for _ in range(100):
        clock.now = max(clock.now, it.due_at)
        checkpoint(it, runner, clock, cost)
        spent += cost
    assert spent <= 0.051 * (clock.now - started_at)


def test_h2_no_result_waits_longer_than_the_commit_interval(runner, clock):
    it = PinnedInstance(PIN, NEW, interval=1.0)
    checkpoint(it, runner, clock, 3.0)
    assert it.due_at == it.due_at_rest == clock.now + 1.0


def test_h2_a_checkpoint_is_due_sooner_while_there_is_nothing_else_to_do(runner, clock):
    it = PinnedInstance(PIN, NEW, interval=1.0)
    checkpoint(it, runner, clock, 0.01)
    assert clock.now < it.due_at_rest < it.due_at


def test_c6_what_is_held_back_is_bounded(runner, clock):
    it = PinnedInstance(PIN, NEW, interval=1000.0)
    checkpoint(it, runner, clock, 10.0)
    lease = Lease(Task(ITEMS, *PIN, "input", [1]), 0)
    while it.due_at > clock.now:
        it.ended.append(lease)
        assert len(it.ended) < 1000
    checkpoint(it, runner, clock, 10.0)
    assert it.ended == []
    assert it.due_at > clock.now


def test_c5_one_whose_owner_was_lost_is_saved_each_time_for_a_while(runner, clock):
    it = PinnedInstance(
        PIN, AdoptedInstance(None, ResumePoint(), [], delivery_count=1), interval=1000.0
    )
    it.begin()
    while it.on_probation:
        assert it.due_at <= clock.now
        checkpoint(it, runner, clock, 0.1)
    assert it.due_at > clock.now
    assert not PinnedInstance(PIN, NEW).on_probation


def test_h2_a_state_holds_the_pe_as_it_is_and_can_be_taken_up(runner, clock):
    runner.pe.total = 42
    state, position = PinnedInstance(PIN, NEW).checkpoint(runner)
    assert position == ResumePoint()
    restored = PinnedInstance(PIN, AdoptedInstance(state, position, [])).restored("Total1")
    assert (type(restored), restored.total) == (Total, 42)
    assert "total" in vars(CODEC.loads(state))
    assert runner.pe.total == 42


def test_h2_an_instance_that_was_not_started_has_no_state():
    assert PinnedInstance(PIN, NEW).restored("Total1") is None


class Unloadable:
    """Cannot be unpickled."""

    def __reduce__(self):
        return sys.exit, ("not here",)


def test_h2_a_state_that_cannot_be_taken_up_is_an_error_that_names_the_pe():
    it = PinnedInstance(PIN, AdoptedInstance(CODEC.dumps(Unloadable()), ResumePoint(), []))
    with pytest.raises(RunError, match=r"Total1 .* cannot be unpickled.*SystemExit: not here"):
        it.restored("Total1")


def test_h2_what_a_lost_owner_had_sent_stays_known_until_it_was_dropped(runner):
    runner.track({"output": 6})
    assert runner.replay.to_send("output", [1, 2]) == []
    it = PinnedInstance(PIN, AdoptedInstance(None, ResumePoint(0, (("output", 6),)), []))
    assert it.position(runner) == ResumePoint(0, (("output", 6),))
    _, position = it.checkpoint(runner)
    assert position == ResumePoint(0, (("output", 4),))
    assert runner.replay.to_send("output", [3, 4, 5, 6, 7]) == [7]
    assert it.position(runner) == ResumePoint(0, (("output", 5),))
    assert it.checkpoint(runner)[1] == ResumePoint()


@pytest.mark.parametrize("interval", [1.0, None])
def test_h2_a_state_that_cannot_be_or_is_not_to_be_kept_is_known_to_be_lost(runner, interval):
    it = PinnedInstance(PIN, NEW, interval)
    if interval is not None:
        runner.pe.stream = (number for number in ())
    state, position = it.checkpoint(runner)
    assert (state, position.sent) == (None, None)
    assert it.position(runner).sent is None


class Streams(Total):
    """Holds something that cannot be pickled."""

    def _preprocess(self):
        self.stream = (number for number in ())


def test_h2_a_pe_that_cannot_be_pickled_runs_as_long_as_its_owner_lives(execute):
    graph = WorkflowGraph()
    graph.connect(Numbers(), "output", Streams(), "input")
    assert execute(graph, 10, 2).outputs == {"Streams1": {"output": [55]}}


def test_h2_else_the_run_fails_and_says_why(local_store, threads, wait_until):
    graph = WorkflowGraph()
    graph.connect(Numbers(), "output", Streams(), "input")
    plan = replicate_stateless(make_plan(graph))
    store = local_store(plan)
    opened = store.open([[PIN]])
    first = opened.workers[0]
    store.driver.put([Task(ITEMS, *PIN, "input", [1])])
    leases = first.take(only=[PIN])
    it = PinnedInstance(PIN, NEW)
    runner = Runner(plan.pes[1], 0, lambda runner: None)
    runner.track()
    runner.preprocess()
    state, position = it.checkpoint(runner)
    commit = it.outbox.take(leases, 0)
    commit.states, commit.instance_positions = [(PIN, state)], [(PIN, position)]
    first.commit(commit)
    store.driver.evict(0, [PIN])

    rank = store.driver.join()
    store.driver.put([Task("assign", *PIN)], rank)
    heirs = threads(lambda rank: Worker(plan, store.worker(rank), rank), [rank])
    wait_until(lambda: heirs.errors, "the error")
    message = r"Streams1 \(instance 0\) was lost .* its state could not be saved"
    with pytest.raises(RunError, match=message):
        raise heirs.errors[0]
