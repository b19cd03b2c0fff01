"""Replacing lost workers, assigning their instances, and losses that end the run."""

import itertools

import pytest

from d4py_conformance.pes.common import Numbers, Relay
from d4py_conformance.pes.lifecycle import Diary, Talker
from d4py_dynamic.driver.limits import DriverLimits
from d4py_dynamic.driver.supervisor import WorkerSupervisor
from d4py_dynamic.store.tasks import (
    ANY,
    ASSIGN,
    ITEMS,
    REDELIVERIES,
    STOP,
    Attempt,
    Commit,
    ResumePoint,
    Task,
    pins_of,
)
from dispel4py import WorkflowGraph
from dispel4py.engine.planning.plan import make_plan, replicate_stateless
from dispel4py.errors import WorkerLostError, WorkerStartError

KILLED = "killed by SIGKILL"


class ScriptedProcesses:
    """Worker processes that are lost when a test says so."""

    def __init__(self):
        self.lost, self.added, self.killed, self.threads = [], [], [], {}
        self.running = set()

    def check(self):
        lost, self.lost = self.lost, []
        return [
            (*kind, WorkerLostError)[0](number, 4000 + number, cause)
            for number, cause, *kind in lost
        ]

    def add(self, arguments):
        self.added.append(arguments)

    def kill(self, number):
        self.killed.append(number)

    def is_running(self, number):
        return number in self.running

    def finishing(self, number):
        return self.threads.get(number, [])

    def wait_until_ended(self, look, name):
        look()


class SupervisedRun:
    """A supervisor, and workers whose side of the store a test plays."""

    def __init__(self, local_store, count=3, **options):
        graph = WorkflowGraph()
        pes = Numbers(), Relay(), Talker(), Diary([0], 4)
        for source, destination in itertools.pairwise(pes):
            graph.connect(source, "output", destination, "input")
        self.plan = replicate_stateless(make_plan(graph))
        self.store = local_store(self.plan)
        self.driver = self.store.driver
        self.workers = ScriptedProcesses()
        ranks = [self.driver.join() for _ in range(count)]
        self.started = 0
        self.supervisor = WorkerSupervisor(
            self.plan,
            self.driver,
            self.workers,
            ranks,
            lambda rank: (f"arguments of {rank}",),
            self.start,
            **options,
        )

    def start(self):
        self.started += 1

    def adopt_assigned(self, rank):
        """Have a worker adopt the instances that it is assigned, and return these."""
        side = self.store.worker(rank)
        pins = []
        while leases := side.take([]):
            side.commit(Commit(leases=leases))
            for lease in leases:
                assert lease.task.kind == ASSIGN
                pins.append((lease.task.pe, lease.task.instance))
                side.adopt(pins[-1])
        return pins

    def lose(self, number, cause=KILLED, kind=WorkerLostError):
        self.workers.lost.append((number, cause, kind))
        self.supervisor.check()


@pytest.fixture
def run(local_store):
    return SupervisedRun(local_store)


@pytest.fixture
def skipping_run(local_store):
    return SupervisedRun(local_store, skips=True)


def test_h1_every_pinned_instance_has_one_owner_and_they_are_assigned_evenly(run):
    owned = [run.adopt_assigned(rank) for rank in range(3)]
    assert sorted(pin for pins in owned for pin in pins) == sorted(pins_of(run.plan))
    assert sorted(map(len, owned)) == [1, 2, 2]


def test_c5_a_lost_worker_is_replaced_and_its_instances_go_to_those_that_own_fewest(run):
    owned = {rank: run.adopt_assigned(rank) for rank in range(3)}
    run.lose(1)
    assert run.workers.added == [("arguments of 3",)]
    assert run.started == 1
    assert run.supervisor.ranks == [0, 2, 3]
    now = {rank: owned.get(rank, []) + run.adopt_assigned(rank) for rank in (0, 2, 3)}
    assert sorted(pin for pins in now.values() for pin in pins) == sorted(pins_of(run.plan))
    assert sorted(map(len, now.values())) == [1, 2, 2]
    assert run.supervisor.notes == [
        f"worker 1 (process 4001) died: {KILLED}; other workers continued its work"
    ]


def test_c5_all_may_be_lost_at_once_and_their_replacements_before_they_begin(run):
    for number in range(9):
        run.workers.lost.append((number, KILLED))
    run.supervisor.check()
    assert run.supervisor.ranks == [9, 10, 11]
    owned = [run.adopt_assigned(rank) for rank in (9, 10, 11)]
    assert sorted(pin for pins in owned for pin in pins) == sorted(pins_of(run.plan))


def lose_over_a_shared_task(run, *, in_call=True):
    """Lose one worker after the other with a shared task, all but the first while processing it."""
    run.driver.put([Task(ITEMS, 1, ANY, "input", [1])])
    for number in range(1 + REDELIVERIES):
        run.adopt_assigned(number)
        side = run.store.worker(number)
        (lease,) = side.take(None, 0.0, pinned=False)
        assert (lease.task.pe, lease.delivery_count) == (1, number)
        if number:
            side.commit(Commit(attempt=Attempt(lease, in_call)))
        if number < REDELIVERIES:
            run.lose(number)
    run.lose(REDELIVERIES)


def lose_over_an_instance(run, *, in_call=True, pin=(3, 1)):
    """Lose one worker after the other that owns an instance."""
    run.driver.put([Task(ITEMS, *pin, "input", [1])])
    for number in range(1 + REDELIVERIES):
        rank = next(rank for rank in run.supervisor.ranks if pin in run.adopt_assigned(rank))
        side = run.store.worker(rank)
        if number:
            side.commit(Commit(attempt=Attempt(pin, in_call)))
        else:
            side.take([pin])
        run.lose(rank)


def test_c5_losses_over_a_shared_task_end_the_run_and_name_its_pe(run):
    with pytest.raises(WorkerLostError, match="it ran Relay1, as 3 workers before it that died"):
        lose_over_a_shared_task(run)


def test_c5_losses_over_an_instance_end_the_run_and_name_it(run):
    with pytest.raises(WorkerLostError, match=r"it ran Diary3 \(instance 1\), as 3 workers"):
        lose_over_an_instance(run)


@pytest.mark.parametrize("lose", [lose_over_a_shared_task, lose_over_an_instance])
def test_c3_where_items_are_skipped_the_next_worker_decides(skipping_run, lose):
    lose(skipping_run)
    assert len(skipping_run.supervisor.notes) == 1 + REDELIVERIES


@pytest.mark.parametrize("lose", [lose_over_a_shared_task, lose_over_an_instance])
def test_c3_losses_outside_of_a_call_end_the_run_all_the_same(skipping_run, lose):
    with pytest.raises(WorkerLostError, match="as 3 workers before it"):
        lose(skipping_run, in_call=False)


def test_c5_losses_before_a_task_is_processed_do_not_add_up(run):
    run.driver.put([Task(ITEMS, 1, ANY, "input", [1])])
    for number in range(10):
        rank = run.supervisor.ranks[-1]
        run.adopt_assigned(rank)
        (lease,) = run.store.worker(rank).take(None, 0.0, pinned=False)
        assert lease.delivery_count == min(number, 1)
        run.lose(rank)


def test_c5_losses_of_workers_without_tasks_do_not_end_the_run(run):
    for number in range(12):
        run.adopt_assigned(number)
        run.lose(number)
    assert len(run.supervisor.notes) == 12


def test_c5_a_local_process_that_runs_is_kept_without_heartbeats(run, monkeypatch):
    """Starting it may take long, or a call may hold Python's lock."""
    ages = dict.fromkeys(run.supervisor.ranks, 1000.0)
    monkeypatch.setattr(run.driver, "seconds_since_heartbeat", lambda: ages)
    run.workers.running = {0, 2}
    run.supervisor.check()
    assert run.workers.killed == [1]


@pytest.mark.parametrize("cause", ["exit status 1", "exit status 0", "killed by SIGSEGV"])
def test_workers_that_end_as_soon_as_they_start_end_the_run(run, cause):
    run.lose(0, cause)
    run.lose(3, cause)
    with pytest.raises(WorkerLostError, match=cause):
        run.lose(4, cause)


def test_workers_that_never_begin_end_the_run_whatever_their_age(local_store):
    run = SupervisedRun(local_store, limits=DriverLimits(start_seconds=0.0))
    run.lose(0, "too slow", WorkerStartError)
    run.lose(3, "too slow", WorkerStartError)
    with pytest.raises(WorkerStartError, match=r"worker 4 .* did not begin: too slow"):
        run.lose(4, "too slow", WorkerStartError)


def test_d2_the_loss_of_a_replica_with_a_postprocess_fails_the_run(run):
    run.store.worker(1).commit(Commit(replicas=[2]))
    with pytest.raises(WorkerLostError, match=r"Talker2, .*; this cannot be repeated"):
        run.lose(1)


def test_h2_the_loss_of_a_call_that_had_sent_too_much_fails_the_run(run):
    run.driver.put([Task(ITEMS, 1, ANY, "input", [1])])
    side = run.store.worker(2)
    run.adopt_assigned(2)
    (lease,) = side.take(None, 0.0)
    side.commit(Commit(lease_positions=[(lease, ResumePoint(0, None))]))
    with pytest.raises(WorkerLostError, match="Relay1, in a call that had sent too much"):
        run.lose(2)


def test_c4_shutdown_stops_all_workers_and_waits_for_them(run):
    run.lose(0)
    for rank in run.supervisor.ranks:
        run.adopt_assigned(rank)
    polls = []
    run.supervisor.shutdown(polls.append)
    for rank in run.supervisor.ranks:
        (lease,) = run.store.worker(rank).take([])
        assert lease.task.kind == STOP
    assert polls


def test_i10_a_worker_that_is_lost_during_shutdown_is_noted_and_not_replaced(run):
    def lose(seconds):
        run.workers.lost.append((1, KILLED))

    run.supervisor.shutdown(lose)
    assert run.workers.added == []
    assert "files that its PEs had not closed may be incomplete" in run.supervisor.notes[-1]


def test_i10_a_worker_that_is_lost_while_its_threads_run_fails_the_run(run):
    run.workers.threads[1] = ["upload"]
    run.workers.lost.append((1, KILLED))
    with pytest.raises(WorkerLostError, match="worker 1"):
        run.supervisor.shutdown(lambda seconds: None)


def join_remotely(run, monkeypatch, count):
    """Have remote workers join, and return their numbers."""
    ranks = [run.driver.join() for _ in range(count)]
    monkeypatch.setattr(run.driver, "seconds_since_heartbeat", lambda: dict.fromkeys(ranks, 0.0))
    return ranks


def test_i10_shutdown_waits_for_remote_workers(run, monkeypatch):
    (rank,) = join_remotely(run, monkeypatch, 1)
    events = iter(["stopping", "nothing", "exited"])
    waits = []

    def take_event(seconds):
        waits.append(seconds)
        match next(events, None):
            case "stopping":
                run.supervisor.on_worker_stopping(rank, ["upload"])
            case "exited":
                run.supervisor.on_worker_exited(
                    WorkerLostError(rank, 5, "its work is done"), drained=True
                )

    run.supervisor.shutdown(take_event)
    assert next(events, None) is None
    assert rank not in run.supervisor.ranks
    assert run.supervisor.notes == []
    # The first look is at workers of this machine; those after it would be made without a pause.
    assert min(waits[1:]) > 0


def test_i10_a_remote_worker_that_is_lost_while_its_threads_run_fails_the_run(run, monkeypatch):
    (rank,) = join_remotely(run, monkeypatch, 1)

    def exit_early(seconds):
        run.supervisor.on_worker_stopping(rank, ["upload"])
        run.supervisor.on_worker_exited(WorkerLostError(rank, 5, KILLED), drained=False)

    with pytest.raises(WorkerLostError, match=f"{KILLED}, while its thread 'upload' still ran"):
        run.supervisor.shutdown(exit_early)
