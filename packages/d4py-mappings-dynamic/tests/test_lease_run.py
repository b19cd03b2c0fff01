"""Leases, one at a time: what one worker commits of them, and in which steps."""

import functools
import threading
import time

import pytest
from dynamic_helpers.loop_pes import EAGER, PATIENT, PROMPT, Slow, SlowNumbers, stateful

from d4py_conformance.pes.common import Numbers, Relay
from d4py_conformance.pes.lifecycle import Diary, Talker
from d4py_conformance.suite import chain
from d4py_conformance.waiting import LIMIT, wait_until
from d4py_dynamic.store.serialization import CODEC, remaining
from d4py_dynamic.store.tasks import ANY, ASSIGN, CALLS, DRAIN, FINISH, ITEMS, ResumePoint, Task
from d4py_dynamic.worker.limits import WorkerLimits
from d4py_dynamic.worker.loop import Worker
from dispel4py import ProducerPE
from dispel4py.engine.inputs import CallRange
from dispel4py.engine.planning.plan import make_plan, replicate_stateless


class Script:
    """A table with some workers, of which one works."""

    def __init__(self, local_store, threads, graph, owners, limits=WorkerLimits()):
        self.plan = replicate_stateless(make_plan(graph))
        self.limits = limits
        self.store = local_store(self.plan)
        self.threads = threads
        self.driver = self.store.driver
        for rank, own in enumerate(owners):
            self.driver.join()
            self.driver.put([Task(ASSIGN, *pin) for pin in own], rank)

    def serve(self, tasks, until):
        """Let worker 0 do tasks until something is true."""
        self.driver.put(tasks)

        def make_worker(rank):
            return Worker(self.plan, self.store.worker(rank), rank, limits=self.limits)

        threads = self.threads(make_worker, [0])
        wait_until(lambda: until(self.store) or threads.check(), "the end of the tasks")
        assert threads.check() == []
        self.driver.delete()
        assert threads.join(LIMIT)

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
    script = script(chain(SlowNumbers(0.012), Relay()), [[(0, 0)]], PROMPT)
    script.serve([Task(CALLS, 0, 0, None, 40)], lambda store: store.calls(0) == 40)
    *before, last = script.commits
    assert before
    sent = 0
    for commit in before:
        sent += len(results_of([commit]))
        assert commit.instance_positions == [((0, 0), ResumePoint(sent, ()))]
        assert [pin for pin, _ in commit.states] == [(0, 0)]
        assert commit.leases == []
    assert last.instance_positions == [((0, 0), ResumePoint())]
    assert [lease.task.payload for lease in last.leases] == [40]
    assert results_of(script.commits) == [*range(1, 41)]


def test_h2_so_is_that_of_calls_that_were_listed(script):
    script = script(chain(Slow(0.012), Relay()), [[(0, 0)]], PROMPT)
    given = [{"input": number} for number in range(40)]
    script.serve([Task(CALLS, 0, 0, None, given)], lambda store: store.calls(0) == 40)
    assert results_of(script.commits) == [*range(40)]
    done = [position.done for commit in script.commits for _, position in commit.instance_positions]
    assert done[-1] == 0
    assert done[:-1] == sorted({*done[:-1]})
    assert 0 < done[0] < 40


def test_a_lease_and_all_that_it_made_are_in_one_commit_where_it_is_quick(script):
    script = script(chain(Numbers(), Relay(), stateful(Diary())), [[(0, 0), (2, 0)]], PATIENT)
    script.serve([Task(CALLS, 0, 0, None, 10)], lambda store: store.calls(1))
    commit = script.commits[0]
    assert [lease.task.kind for lease in commit.leases] == [CALLS]
    assert commit.tasks == [Task(ITEMS, 2, 0, "input", [*range(1, 11)])]
    assert [(pe, calls) for pe, calls, _ in commit.counters] == [(0, 10), (1, 10)]
    ((pin, state),) = commit.states
    assert pin == (0, 0)
    assert CODEC.loads(state).counter == 10


def test_a_root_gives_its_followers_to_idle_workers_at_once(script):
    # The second worker is new, so it is idle.
    script = script(chain(Numbers(), Relay()), [[(0, 0)], []], EAGER)
    script.serve(
        [Task(CALLS, 0, 0, None, 10)], lambda store: not any(store.driver.unfinished([]).values())
    )
    first, *_ = (commit for commit in script.commits if commit.instance_positions)
    assert first.tasks == [Task(ITEMS, 1, ANY, "input", [1])]
    assert first.results == []
    assert sorted(results_of(script.commits)) == [*range(1, 11)]


class Fetches(ProducerPE):
    """A root whose calls are independent; the first writes until it is stopped."""

    independent_calls = True
    stop = threading.Event()

    def _process(self, inputs):
        while not self.stop.is_set():
            self.write("output", inputs["number"])
            time.sleep(0.001)


def test_h2_what_is_handed_back_in_a_call_is_no_longer_part_of_the_lease(script):
    script = script(chain(Fetches(), Relay()), [[], []], EAGER)
    calls = CallRange(0, [{"number": number} for number in range(20)])
    rests = []

    def has_handed_back(store):
        for _, commit in store.commits:
            rests.extend((commit, task) for task in commit.tasks if task.pe == 0)
        return rests

    Fetches.stop.clear()
    try:
        script.serve([Task(CALLS, 0, ANY, None, calls)], has_handed_back)
    finally:
        Fetches.stop.set()
    commit, rest = rests[0]
    ((lease, position),) = commit.lease_positions
    kept = remaining(lease.task, position).payload
    assert kept.first == 0
    assert kept.first + len(kept) == rest.payload.first
    assert rest.payload.first + len(rest.payload) == 20


def test_c2_a_worker_that_drains_leaves_an_instance_that_it_has_not_started_as_it_was(script):
    script = script(chain(Numbers(), stateful(Talker())), [[(1, 0)]])
    script.driver.put([Task(DRAIN, ANY)], 0)
    Worker(script.plan, script.store.worker(0), 0).serve()
    assert [commit.states for commit in script.commits if commit.states] == []
    rank = script.driver.join()
    assert script.store.worker(rank).adopt((1, 0)).state is None


class TalksLong(Talker):
    """Writes more than one batch in its postprocess."""

    def _postprocess(self):
        for number in range(3000):
            self.write("output", number)


def test_d2_a_replica_that_was_left_is_the_only_one_that_its_postprocess_makes(script):
    script = script(chain(Numbers(), TalksLong()), [[]], EAGER)
    replica = CODEC.dumps(TalksLong())
    script.serve(
        [Task(FINISH, 1, ANY, None, replica)],
        lambda store: not any(store.driver.unfinished([]).values()),
    )
    assert results_of(script.commits) == [*range(3000)]
    assert len(script.commits) > 1
    assert not any(commit.replicas for commit in script.commits[1:])
