"""Who gets the instances of a lost worker, and when it makes no sense to go on."""

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
from dispel4py.engine.plan import make_plan, replicate_stateless
from dispel4py.errors import WorkerLostError, WorkerStartError

KILLED = "killed by SIGKILL"


class Workers:
    """Worker processes that are lost when they are told to be."""

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


class Company:
    """A supervisor of workers that do only what a test does in their name."""

    def __init__(self, local_store, count=3, **options):
        graph = WorkflowGraph()
        pes = Numbers(), Relay(), Talker(), Diary([0], 4)
        for source, destination in itertools.pairwise(pes):
            graph.connect(source, "output", destination, "input")
        self.plan = replicate_stateless(make_plan(graph))
        self.store = local_store(self.plan)
        self.driver = self.store.driver
        self.workers = Workers()
        ranks = [self.driver.join() for _ in range(count)]
        self.started = 0
        self.supervisor = WorkerSupervisor(
            self.plan,
            self.driver,
            self.workers,
            ranks,
            lambda rank: (f"orders {rank}",),
            self.start,
            **options,
        )

    def start(self):
        self.started += 1

    def obey(self, rank):
        """A worker takes its orders: the instances that it owns from now on."""
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
def company(local_store):
    return Company(local_store)


@pytest.fixture
def skipping_company(local_store):
    return Company(local_store, skips=True)


def test_h1_every_pinned_instance_has_one_owner_and_they_are_dealt_out_evenly(company):
    owned = [company.obey(rank) for rank in range(3)]
    assert sorted(pin for pins in owned for pin in pins) == sorted(pins_of(company.plan))
    assert sorted(map(len, owned)) == [1, 2, 2]


def test_c5_a_lost_worker_is_replaced_and_its_instances_go_to_who_has_fewest(company):
    owned = {rank: company.obey(rank) for rank in range(3)}
    company.lose(1)
    assert company.workers.added == [("orders 3",)]
    assert company.started == 1
    assert company.supervisor.ranks == [0, 2, 3]
    now = {rank: owned.get(rank, []) + company.obey(rank) for rank in (0, 2, 3)}
    assert sorted(pin for pins in now.values() for pin in pins) == sorted(pins_of(company.plan))
    assert sorted(map(len, now.values())) == [1, 2, 2]
    assert company.supervisor.notes == [
        f"worker 1 (process 4001) died: {KILLED}; other workers continued its work"
    ]


def test_c5_all_may_be_lost_at_once_and_their_heirs_before_they_begin(company):
    for number in range(9):
        company.workers.lost.append((number, KILLED))
    company.supervisor.check()
    assert company.supervisor.ranks == [9, 10, 11]
    owned = [company.obey(rank) for rank in (9, 10, 11)]
    assert sorted(pin for pins in owned for pin in pins) == sorted(pins_of(company.plan))


def lose_over_a_shared_task(company, *, in_call=True):
    """One worker after the other is lost with it, all but the first while they were at it."""
    company.driver.put([Task(ITEMS, 1, ANY, "input", [1])])
    for number in range(1 + REDELIVERIES):
        company.obey(number)
        side = company.store.worker(number)
        (lease,) = side.take(None, 0.0, pinned=False)
        assert (lease.task.pe, lease.delivery_count) == (1, number)
        if number:
            side.commit(Commit(attempt=Attempt(lease, in_call)))
        if number < REDELIVERIES:
            company.lose(number)
    company.lose(REDELIVERIES)


def lose_over_an_instance(company, *, in_call=True, pin=(3, 1)):
    company.driver.put([Task(ITEMS, *pin, "input", [1])])
    for number in range(1 + REDELIVERIES):
        rank = next(rank for rank in company.supervisor.ranks if pin in company.obey(rank))
        side = company.store.worker(rank)
        if number:
            side.commit(Commit(attempt=Attempt(pin, in_call)))
        else:
            side.take([pin])
        company.lose(rank)


def test_c5_workers_that_are_lost_one_after_the_other_at_a_shared_task_name_its_pe(company):
    with pytest.raises(WorkerLostError, match="it ran Relay1, as 3 workers before it that died"):
        lose_over_a_shared_task(company)


def test_c5_so_do_owners_of_an_instance(company):
    with pytest.raises(WorkerLostError, match=r"it ran Diary3 \(instance 1\), as 3 workers"):
        lose_over_an_instance(company)


@pytest.mark.parametrize("lose", [lose_over_a_shared_task, lose_over_an_instance])
def test_c3_where_items_are_skipped_it_is_left_to_the_next_worker(skipping_company, lose):
    lose(skipping_company)
    assert len(skipping_company.supervisor.notes) == 1 + REDELIVERIES


@pytest.mark.parametrize("lose", [lose_over_a_shared_task, lose_over_an_instance])
def test_c3_but_not_if_no_item_is_to_blame(skipping_company, lose):
    with pytest.raises(WorkerLostError, match="as 3 workers before it"):
        lose(skipping_company, in_call=False)


def test_c5_workers_that_are_lost_at_something_else_blame_nothing(company):
    company.driver.put([Task(ITEMS, 1, ANY, "input", [1])])
    for number in range(10):
        rank = company.supervisor.ranks[-1]
        company.obey(rank)
        (lease,) = company.store.worker(rank).take(None, 0.0, pinned=False)
        assert lease.delivery_count == min(number, 1)
        company.lose(rank)


def test_c5_a_worker_with_nothing_to_do_is_never_to_blame(company):
    for number in range(12):
        company.obey(number)
        company.lose(number)
    assert len(company.supervisor.notes) == 12


def test_c5_a_process_of_this_machine_that_runs_is_not_given_up(company, monkeypatch):
    """It may take long to start, or be in a call that keeps Python's lock."""
    silent = dict.fromkeys(company.supervisor.ranks, 1000.0)
    monkeypatch.setattr(company.driver, "seconds_since_heartbeat", lambda: silent)
    company.workers.running = {0, 2}
    company.supervisor.check()
    assert company.workers.killed == [1]


@pytest.mark.parametrize("cause", ["exit status 1", "exit status 0", "killed by SIGSEGV"])
def test_workers_that_end_as_soon_as_they_start_end_the_run(company, cause):
    company.lose(0, cause)
    company.lose(3, cause)
    with pytest.raises(WorkerLostError, match=cause):
        company.lose(4, cause)


def test_so_do_workers_that_never_begin_however_long_they_had(local_store):
    company = Company(local_store, limits=DriverLimits(start_seconds=0.0))
    company.lose(0, "too slow", WorkerStartError)
    company.lose(3, "too slow", WorkerStartError)
    with pytest.raises(WorkerStartError, match=r"worker 4 .* did not begin: too slow"):
        company.lose(4, "too slow", WorkerStartError)


def test_d2_a_replica_with_a_postprocess_fails_the_run_when_it_is_lost(company):
    company.store.worker(1).commit(Commit(replicas=[2]))
    with pytest.raises(WorkerLostError, match=r"Talker2, .*; this cannot be done again"):
        company.lose(1)


def test_h2_a_call_that_had_sent_too_much_fails_the_run_when_it_is_lost(company):
    company.driver.put([Task(ITEMS, 1, ANY, "input", [1])])
    side = company.store.worker(2)
    company.obey(2)
    (lease,) = side.take(None, 0.0)
    side.commit(Commit(lease_positions=[(lease, ResumePoint(0, None))]))
    with pytest.raises(WorkerLostError, match="Relay1, in a call that had sent too much"):
        company.lose(2)


def test_c4_all_are_told_to_stop_and_are_waited_for(company):
    company.lose(0)
    for rank in company.supervisor.ranks:
        company.obey(rank)
    looks = []
    company.supervisor.shutdown(lambda: looks.append(1))
    for rank in company.supervisor.ranks:
        (lease,) = company.store.worker(rank).take([])
        assert lease.task.kind == STOP
    assert looks


def test_i10_a_worker_that_is_lost_after_its_work_is_noted_and_not_replaced(company):
    def look():
        company.workers.lost.append((1, KILLED))

    company.supervisor.shutdown(look)
    assert company.workers.added == []
    assert "files that its PEs had not closed may be incomplete" in company.supervisor.notes[-1]


def test_i10_a_worker_that_is_lost_with_a_thread_of_a_pe_fails_the_run(company):
    company.workers.threads[1] = ["upload"]
    company.workers.lost.append((1, KILLED))
    with pytest.raises(WorkerLostError, match="worker 1"):
        company.supervisor.shutdown(lambda: None)


def guests(company, monkeypatch, count):
    """Workers that have joined from elsewhere."""
    ranks = [company.driver.join() for _ in range(count)]
    monkeypatch.setattr(
        company.driver, "seconds_since_heartbeat", lambda: dict.fromkeys(ranks, 0.0)
    )
    return ranks


def test_i10_workers_elsewhere_are_waited_for(company, monkeypatch):
    (rank,) = guests(company, monkeypatch, 1)
    events = iter(["finishing", "nothing", "gone"])

    def look():
        match next(events, None):
            case "finishing":
                company.supervisor.on_worker_stopping(rank, ["upload"])
            case "gone":
                company.supervisor.on_worker_exited(
                    WorkerLostError(rank, 5, "its work is done"), drained=True
                )

    company.supervisor.shutdown(look)
    assert next(events, None) is None
    assert rank not in company.supervisor.ranks
    assert company.supervisor.notes == []


def test_i10_one_elsewhere_that_is_lost_with_a_thread_fails_the_run(company, monkeypatch):
    (rank,) = guests(company, monkeypatch, 1)

    def look():
        company.supervisor.on_worker_stopping(rank, ["upload"])
        company.supervisor.on_worker_exited(WorkerLostError(rank, 5, KILLED), drained=False)

    with pytest.raises(WorkerLostError, match=f"{KILLED}, while its thread 'upload' still ran"):
        company.supervisor.shutdown(look)
