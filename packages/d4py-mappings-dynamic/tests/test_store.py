"""What every task store keeps: the rules of `TaskStore` and `RunStore`.

A store is proved by a subclass of `StoreContract` that gives the fixture `opened`.
"""

import itertools
import threading
import time

import pytest

from d4py_dynamic.store import Drained, LogLine, Results
from d4py_dynamic.tasks import ANY, CALLS, ITEMS, STOP, WAKE, Commit, Lease, Task
from dispel4py import IterativePE, ProducerPE, WorkflowGraph
from dispel4py.errors import ItemError, ProcessingError, ServiceError
from dispel4py.plan import make_plan
from dispel4py.result import Failure

ROOT, SHARED, PINNED = range(3)

#: Seconds to wait for what will not come.
SOON = 0.05


def make_graph():
    """A root, a stateless PE, and two instances of a stateful one."""
    graph = WorkflowGraph()
    shared, pinned = IterativePE(), IterativePE()
    pinned.stateful, pinned.numprocesses = True, 2
    graph.connect(ProducerPE(), "output", shared, "input")
    graph.connect(shared, "output", pinned, "input")
    return graph


def items(*values, pe=SHARED, instance=ANY):
    return Task(ITEMS, pe, instance, "input", list(values))


def loads(leases):
    return [lease.task.load for lease in leases]


def take(worker, *, within=10.0):
    """Take at least one lease."""
    until = time.monotonic() + within
    while True:
        leases = worker.take()
        if leases:
            return leases
        assert time.monotonic() < until, "no task came"


def events(driver, *, count=1, within=10.0):
    """At least so many events."""
    found = []
    until = time.monotonic() + within
    while len(found) < count:
        found += driver.events(0.05)
        assert time.monotonic() < until, f"only {found} came"
    return found


def settle(driver, workers):
    """Have each worker take something, so that none is new."""
    for rank, worker in enumerate(workers):
        driver.put([Task(WAKE, ANY)], rank)
        worker.commit(Commit(leases=take(worker)))


class StoreContract:
    """The rules."""

    @pytest.fixture
    def plan(self):
        return make_plan(make_graph())

    @pytest.fixture
    def opened(self, plan):
        """The store of a run with three workers; see `owners`."""
        raise NotImplementedError("a subclass has a fixture `opened`")

    @pytest.fixture
    def owners(self):
        return [[(ROOT, 0)], [(PINNED, 0), (PINNED, 1)], []]

    @pytest.fixture
    def driver(self, opened):
        return opened.driver

    @pytest.fixture
    def workers(self, opened):
        return opened.workers

    # Taking.

    def test_a_task_is_taken_as_it_was_put(self, driver, workers):
        task = items(1, "two", (3.0, [None]), {"four": b"\0"})
        driver.put([task])
        (lease,) = take(workers[0])
        assert lease.task == task

    def test_anything_that_dill_carries_can_be_in_a_task(self, driver, workers):
        offset = 1
        driver.put([items(lambda number: number + offset)])
        (lease,) = take(workers[0])
        assert lease.task.load[0](41) == 42

    def test_a_task_is_taken_by_one_worker_at_a_time(self, driver, workers):
        driver.put([items(1)])
        assert loads(take(workers[0])) == [[1]]
        assert workers[2].take(seconds=SOON) == []
        assert workers[0].take(seconds=SOON) == []

    def test_many_workers_take_distinct_tasks(self, driver, workers):
        driver.put([items(number) for number in range(300)])
        done = [[] for _ in workers]

        def work(rank):
            while sum(map(len, done)) < 300:
                for lease in workers[rank].take():
                    done[rank] += lease.task.load
                    workers[rank].commit(Commit(leases=[lease]))

        threads = [threading.Thread(target=work, args=(rank,)) for rank in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        assert sorted(itertools.chain(*done)) == [*range(300)]
        assert driver.unfinished([])[SHARED] == 0

    def test_h1_a_task_of_an_instance_goes_to_its_owner_alone(self, driver, workers):
        driver.put([items(1, pe=PINNED, instance=1)])
        assert workers[0].take(seconds=SOON) == []
        assert workers[2].take(seconds=SOON) == []
        assert loads(take(workers[1])) == [[1]]

    def test_a_task_for_one_worker_goes_to_it_alone(self, driver, workers):
        driver.put([items(1)], rank=2)
        assert workers[0].take(seconds=SOON) == []
        assert workers[1].take(seconds=SOON) == []
        assert loads(take(workers[2])) == [[1]]

    def test_m3_tasks_of_an_instance_keep_their_order(self, driver, workers):
        sent = 0
        for rank in (0, 2, 0, 0, 2):
            tasks = [items(sent + i, pe=PINNED, instance=0) for i in range(10)]
            workers[rank].commit(Commit(tasks=tasks))
            sent += 10
        got = []
        while len(got) < sent:
            leases = take(workers[1])
            got += itertools.chain(*loads(leases))
            workers[1].commit(Commit(leases=leases))
        assert got == [*range(sent)]

    def test_only_the_named_instances_are_taken_if_some_are(self, driver, workers):
        driver.put([items(0), items(1, pe=PINNED, instance=1), items(2, pe=PINNED, instance=0)])
        assert loads(workers[1].take(only=[(PINNED, 0)])) == [[2]]
        assert workers[1].take(only=[(PINNED, 0)]) == []
        assert workers[1].take(only=[]) == []
        assert loads(workers[1].take(only=[(PINNED, 0), (PINNED, 1)])) == [[1]]

    def test_shared_tasks_have_their_turn_however_many_pinned_ones_wait(self, driver, workers):
        driver.put([items("shared"), items("own")])
        taken = []
        for number in range(100):
            driver.put([items(number, pe=PINNED, instance=0)])
            leases = take(workers[1])
            taken += [load for (load,) in loads(leases) if isinstance(load, str)]
            workers[1].commit(Commit(leases=leases))
        assert taken == ["shared", "own"]

    def test_take_waits_for_a_task_below_a_second(self, driver, workers):
        started_at = time.monotonic()
        assert workers[0].take() == []
        assert time.monotonic() - started_at < 1

    def test_a_worker_that_waits_gets_a_task_at_once(self, driver, workers, wait_until):
        settle(driver, workers)
        taken = []
        thread = threading.Thread(target=lambda: taken.extend(take(workers[0])))
        thread.start()
        wait_until(lambda: workers[1].pressure().hungry, "waiting")
        driver.put([items(1)])
        put_at = time.monotonic()
        thread.join(5)
        assert time.monotonic() - put_at < 0.2
        assert loads(taken) == [[1]]

    # Committing.

    def test_what_follows_and_the_end_of_a_lease_become_true_together(self, driver, workers):
        driver.put([Task(CALLS, ROOT, 0, None, 2)])
        (lease,) = take(workers[0])
        tasks = [items(1), items(2, pe=PINNED, instance=0), items(3, pe=PINNED, instance=1)]
        workers[0].commit(Commit(leases=[lease], tasks=tasks))
        assert driver.unfinished([]) == {ROOT: 0, SHARED: 1, PINNED: 2}
        assert loads(take(workers[2])) == [[1]]
        assert sorted(loads(take(workers[1], within=5) + workers[1].take())) == [[2], [3]]

    def test_a_task_counts_from_when_it_is_put_until_its_lease_is_ended(self, driver, workers):
        assert driver.unfinished([]) == {ROOT: 0, SHARED: 0, PINNED: 0}
        driver.put([items(1), items(2)])
        assert driver.unfinished([])[SHARED] == 2
        (lease,) = take(workers[0])
        assert driver.unfinished([])[SHARED] == 2
        workers[0].commit(Commit(tasks=[items(3)]))
        assert driver.unfinished([])[SHARED] == 3
        workers[0].commit(Commit(leases=[lease]))
        assert driver.unfinished([])[SHARED] == 2

    def test_a_task_that_follows_from_one_of_its_own_kind_leaves_no_gap(self, driver, workers):
        # Items that are handed on to another worker: at no moment nothing is unfinished.
        driver.unfinished([SHARED])
        driver.put([items(9)])
        for left in range(8, -1, -1):
            (lease,) = take(workers[0])
            workers[0].commit(Commit(leases=[lease], tasks=[items(left)] if left else []))
        assert events(driver) == [Drained(SHARED)]

    def test_results_failures_and_counters_arrive(self, driver, workers):
        error = ProcessingError("IterativePE1", 0, "process", "7", "ValueError: no", "Traceback")
        workers[0].commit(
            Commit(
                results=[("IterativePE1", "output", [1, 2]), ("ProducerPE0", "more", ["x"])],
                failures=[Failure(error, {"input": 7})],
                counters=[(ROOT, 5, 0.5), (SHARED, 3, 0.25)],
            )
        )
        workers[2].commit(Commit(counters=[(SHARED, 1, 0.0)]))
        workers[0].commit(Commit(counters=[(SHARED, 4, 1.0)]))
        (event,) = events(driver)
        assert isinstance(event, Results)
        assert event.results == [
            ("IterativePE1", "output", [1, 2]),
            ("ProducerPE0", "more", ["x"]),
        ]
        (failure,) = event.failures
        assert (str(failure.error), failure.item) == (str(error), {"input": 7})
        assert [(s.pe_id, s.rank, s.items, s.seconds) for s in driver.stats()] == [
            ("ProducerPE0", 0, 5, 0.5),
            ("IterativePE1", 0, 7, 1.25),
            ("IterativePE1", 2, 1, 0.0),
        ]

    def test_results_keep_their_order(self, driver, workers):
        for number in range(150):
            workers[0].commit(Commit(results=[("IterativePE1", "output", [number])]))
        got = [event.results[0][2][0] for event in events(driver, count=150)]
        assert got == [*range(150)]

    def test_results_that_have_not_come_yet_are_missing(self, driver, workers):
        assert driver.missing_results() == 0
        for _ in range(3):
            workers[0].commit(Commit(results=[("IterativePE1", "output", [1])]))
        assert driver.missing_results() == 3
        events(driver, count=3)
        assert driver.missing_results() == 0

    def test_a_lease_can_be_ended_once(self, driver, workers):
        driver.put([items(1), items(2)])
        (first,) = take(workers[0])
        (second,) = take(workers[0])
        workers[0].commit(Commit(leases=[first]))
        before = driver.unfinished([])
        too_late = Commit(
            leases=[second, first],
            tasks=[items(3), items(4, pe=PINNED, instance=0)],
            results=[("IterativePE1", "output", [5])],
            counters=[(SHARED, 6, 0.0)],
            replicas=[SHARED],
        )
        with pytest.raises(ServiceError):
            workers[0].commit(too_late)
        # Nothing of it is true, not even what was right about it.
        assert driver.unfinished([]) == before
        assert driver.missing_results() == 0
        assert driver.stats() == []
        assert driver.replicas(SHARED) == []
        assert workers[1].take(only=[(PINNED, 0)]) == []
        workers[0].commit(Commit(leases=[second]))
        assert driver.unfinished([])[SHARED] == 0

    def test_a_lease_can_be_ended_by_its_worker_alone(self, driver, workers):
        driver.put([items(1)])
        (lease,) = take(workers[0])
        with pytest.raises(ServiceError):
            workers[2].commit(Commit(leases=[lease], tasks=[items(2)]))
        assert driver.unfinished([])[SHARED] == 1

    def test_a_lease_that_never_was_cannot_be_ended(self, driver, workers):
        driver.put([items(1)])
        (lease,) = take(workers[0])
        workers[0].commit(Commit(leases=[lease]))
        with pytest.raises(ServiceError):
            workers[0].commit(Commit(leases=[Lease(items(1), lease.token)]))
        assert driver.unfinished([])[SHARED] == 0

    def test_an_item_that_cannot_be_pickled_fails_the_commit_whole(self, driver, workers):
        with pytest.raises(ItemError, match="generator"):
            workers[0].commit(Commit(tasks=[items(1), items(number for number in ())]))
        assert driver.unfinished([])[SHARED] == 0
        assert workers[0].take(seconds=SOON) == []

    # The driver's view.

    def test_c1_a_watched_pe_tells_when_it_has_nothing_unfinished(self, driver, workers):
        driver.put([items(1), items(2), items(3, pe=PINNED, instance=0)])
        driver.unfinished([SHARED])
        for _ in range(2):
            assert driver.events(0.0) == []
            workers[0].commit(Commit(leases=take(workers[0])))
        workers[1].commit(Commit(leases=take(workers[1])))  # nobody watches this one
        assert events(driver) == [Drained(SHARED)]

    def test_replicas_are_named_by_their_workers(self, driver, workers):
        workers[2].commit(Commit(replicas=[SHARED]))
        workers[0].commit(Commit(replicas=[SHARED, ROOT]))
        assert driver.replicas(SHARED) == [0, 2]
        assert driver.replicas(ROOT) == [0]
        assert driver.replicas(PINNED) == []

    def test_a_stop_is_no_work(self, driver, workers):
        for rank in range(3):
            driver.put([Task(STOP, ANY)], rank)
        assert driver.unfinished([]) == {ROOT: 0, SHARED: 0, PINNED: 0}
        for worker in workers:
            (lease,) = take(worker)
            assert lease.task.kind == STOP

    def test_i4_what_a_pe_logs_arrives_in_order(self, driver, workers):
        for number in range(100):
            workers[0].log("IterativePE1", 0, f"line {number}")
        got = events(driver, count=100)
        assert got == [LogLine("IterativePE1", 0, f"line {number}") for number in range(100)]

    # Pressure.

    def test_who_waits_for_work_is_hungry(self, driver, workers, wait_until):
        settle(driver, workers)
        assert workers[0].pressure().hungry == 0
        stop = threading.Event()

        def wait(worker):
            while not stop.is_set():
                for lease in worker.take():
                    worker.commit(Commit(leases=[lease]))

        threads = [threading.Thread(target=wait, args=(worker,)) for worker in workers[1:]]
        for thread in threads:
            thread.start()
        wait_until(lambda: workers[0].pressure().hungry == 2, "being hungry")
        assert workers[0].commit(Commit(tasks=[items(1)])).hungry > 0
        stop.set()
        for thread in threads:
            thread.join(5)
        assert workers[0].pressure().hungry == 0

    def test_c6_an_instance_with_many_tasks_is_full_until_it_has_caught_up(self, driver, workers):
        place = (PINNED, 0)
        put = 0
        full = ()
        while not full:
            assert put < 1000, "nothing is ever full"
            pressure = workers[0].commit(Commit(tasks=[items(put, pe=PINNED, instance=0)]))
            full = pressure.full
            put += 1
        assert full == (place,)
        assert workers[0].pressure([place, (PINNED, 1)]).full == (place,)
        assert workers[0].pressure().full == ()
        done = 0
        while workers[0].pressure([place]).full:
            leases = workers[1].take(only=[place])
            done += len(leases)
            workers[1].commit(Commit(leases=leases))
        assert 0 < done <= put
        # It is not full again with the next task.
        assert workers[0].commit(Commit(tasks=[items(0, pe=PINNED, instance=0)])).full == ()

    def test_c6_a_task_that_is_being_done_still_fills_its_instance(self, driver, workers):
        place = (PINNED, 0)
        while not workers[0].commit(Commit(tasks=[items(1, pe=PINNED, instance=0)])).full:
            pass
        leases = []
        for _ in range(1000):
            leases += workers[1].take(only=[place])
        assert workers[0].pressure([place]).full == (place,)
        workers[1].commit(Commit(leases=leases))
        assert workers[0].pressure([place]).full == ()

    def test_c6_results_that_nobody_takes_are_pressure(self, driver, workers):
        commits = 0
        while not workers[0].commit(Commit(results=[("IterativePE1", "output", [1])])).results_full:
            commits += 1
            assert commits < 1000, "results are never too many"
        assert workers[2].pressure().results_full
        events(driver, count=commits + 1)
        assert not workers[2].pressure().results_full

    def test_waiting_tasks_of_an_instance_are_counted(self, driver, workers):
        assert driver.waiting(ROOT, 0) == 0
        driver.put([Task(CALLS, ROOT, 0, None, 1)] * 3)
        assert driver.waiting(ROOT, 0) == 3


class TestRedisStore(StoreContract):
    @pytest.fixture
    def opened(self, plan, owners, server, open_redis_store):
        return open_redis_store(server, plan, owners)


class TestTable(StoreContract):
    """The store of `dyn_multi`, in one process; other tests of this folder run on it."""

    @pytest.fixture
    def opened(self, plan, owners, local_store):
        return local_store(plan).open(owners)


class TestTableOverConnections(StoreContract):
    """The same as worker processes reach it."""

    @pytest.fixture
    def opened(self, plan, owners, open_broker_store):
        return open_broker_store(plan, owners)
