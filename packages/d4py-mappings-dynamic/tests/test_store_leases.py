"""What every store does with tasks: which worker gets them, and what a commit of leases brings."""

import itertools
import threading

import pytest
from dynamic_helpers.store_contract import (
    PINNED,
    ROOT,
    SHARED,
    SOON,
    StoreContract,
    events,
    items,
    payloads,
    settle,
    take,
)

from d4py_conformance.waiting import LIMIT, NEVER
from d4py_dynamic.store.protocols import LogLine, Quiescent, Results
from d4py_dynamic.store.tasks import (
    CALLS,
    Commit,
    Lease,
    Task,
)
from dispel4py.errors import ItemError, ProcessingError, ServiceError
from dispel4py.result import Failure


class TestLeases(StoreContract):
    # Taking.

    def test_a_task_is_taken_unchanged(self, driver, workers):
        task = items(1, "two", (3.0, [None]), {"four": b"\0"})
        driver.put([task])
        (lease,) = take(workers[0])
        assert lease.task == task

    def test_a_task_may_contain_what_only_dill_can_pickle(self, driver, workers):
        offset = 1
        driver.put([items(lambda number: number + offset)])
        (lease,) = take(workers[0])
        assert lease.task.payload[0](41) == 42

    def test_a_task_is_taken_by_one_worker_at_a_time(self, driver, workers):
        driver.put([items(1)])
        assert payloads(take(workers[0])) == [[1]]
        assert workers[2].take(seconds=SOON) == []
        assert workers[0].take(seconds=SOON) == []

    def test_many_workers_take_distinct_tasks(self, driver, workers):
        driver.put([items(number) for number in range(300)])
        done = [[] for _ in workers]

        def work(rank):
            while sum(map(len, done)) < 300:
                for lease in workers[rank].take():
                    done[rank] += lease.task.payload
                    workers[rank].commit(Commit(leases=[lease]))

        threads = [threading.Thread(target=work, args=(rank,)) for rank in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(LIMIT)
        assert sorted(itertools.chain(*done)) == [*range(300)]
        assert driver.unfinished([])[SHARED] == 0

    def test_h1_a_task_of_an_instance_goes_only_to_its_owner(self, driver, workers):
        driver.put([items(1, pe=PINNED, instance=1)])
        assert workers[0].take(seconds=SOON) == []
        assert workers[2].take(seconds=SOON) == []
        assert payloads(take(workers[1])) == [[1]]

    def test_a_task_for_one_worker_goes_only_to_that_worker(self, driver, workers):
        driver.put([items(1)], rank=2)
        assert workers[0].take(seconds=SOON) == []
        assert workers[1].take(seconds=SOON) == []
        assert payloads(take(workers[2])) == [[1]]

    def test_m3_tasks_of_an_instance_keep_their_order(self, driver, workers):
        sent = 0
        for rank in (0, 2, 0, 0, 2):
            tasks = [items(sent + i, pe=PINNED, instance=0) for i in range(10)]
            workers[rank].commit(Commit(tasks=tasks))
            sent += 10
        got = []
        while len(got) < sent:
            leases = take(workers[1])
            got += itertools.chain(*payloads(leases))
            workers[1].commit(Commit(leases=leases))
        assert got == [*range(sent)]

    def test_only_tasks_of_named_instances_are_taken(self, driver, workers):
        driver.put([items(0), items(1, pe=PINNED, instance=1), items(2, pe=PINNED, instance=0)])
        assert payloads(workers[1].take(only=[(PINNED, 0)])) == [[2]]
        assert workers[1].take(only=[(PINNED, 0)]) == []
        assert workers[1].take(only=[]) == []
        assert payloads(workers[1].take(only=[(PINNED, 0), (PINNED, 1)])) == [[1]]

    def test_shared_tasks_are_taken_although_pinned_tasks_wait(self, driver, workers):
        driver.put([items("shared"), items("own")])
        taken = []
        for number in range(100):
            driver.put([items(number, pe=PINNED, instance=0)])
            leases = take(workers[1])
            taken += [load for (load,) in payloads(leases) if isinstance(load, str)]
            workers[1].commit(Commit(leases=leases))
        assert taken == ["shared", "own"]

    def test_take_returns_nothing_when_the_wait_is_over(self, driver, workers):
        assert workers[0].take(seconds=SOON) == []

    def test_a_waiting_worker_is_woken_by_a_task(self, driver, workers, wait_until):
        settle(driver, workers)
        taken = []

        def wait():
            taken.extend(workers[0].take(seconds=NEVER))

        thread = threading.Thread(target=wait, daemon=True)
        thread.start()
        wait_until(lambda: workers[1].status().idle, "waiting")
        driver.put([items(1)])
        thread.join(LIMIT)
        assert payloads(taken) == [[1]]

    # Committing.

    def test_followers_and_the_end_of_a_lease_are_committed_together(self, driver, workers):
        driver.put([Task(CALLS, ROOT, 0, None, 2)])
        (lease,) = take(workers[0])
        tasks = [items(1), items(2, pe=PINNED, instance=0), items(3, pe=PINNED, instance=1)]
        workers[0].commit(Commit(leases=[lease], tasks=tasks))
        assert driver.unfinished([]) == {ROOT: 0, SHARED: 1, PINNED: 2}
        assert payloads(take(workers[2])) == [[1]]
        assert sorted(payloads(take(workers[1], within=5) + workers[1].take())) == [[2], [3]]

    def test_a_task_counts_until_its_lease_has_ended(self, driver, workers):
        assert driver.unfinished([]) == {ROOT: 0, SHARED: 0, PINNED: 0}
        driver.put([items(1), items(2)])
        assert driver.unfinished([])[SHARED] == 2
        (lease,) = take(workers[0])
        assert driver.unfinished([])[SHARED] == 2
        workers[0].commit(Commit(tasks=[items(3)]))
        assert driver.unfinished([])[SHARED] == 3
        workers[0].commit(Commit(leases=[lease]))
        assert driver.unfinished([])[SHARED] == 2

    def test_the_count_never_reaches_zero_between_a_task_and_its_follower(self, driver, workers):
        # Items that are handed on to another worker: at no moment nothing is unfinished.
        driver.unfinished([SHARED])
        driver.put([items(9)])
        for left in range(8, -1, -1):
            (lease,) = take(workers[0])
            workers[0].commit(Commit(leases=[lease], tasks=[items(left)] if left else []))
        assert events(driver) == [Quiescent(SHARED)]

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

    def test_results_that_were_not_read_yet_are_missing(self, driver, workers):
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

    def test_a_lease_can_be_ended_only_by_its_worker(self, driver, workers):
        driver.put([items(1)])
        (lease,) = take(workers[0])
        with pytest.raises(ServiceError):
            workers[2].commit(Commit(leases=[lease], tasks=[items(2)]))
        assert driver.unfinished([])[SHARED] == 1

    def test_a_lease_that_does_not_exist_cannot_be_ended(self, driver, workers):
        driver.put([items(1)])
        (lease,) = take(workers[0])
        workers[0].commit(Commit(leases=[lease]))
        with pytest.raises(ServiceError):
            workers[0].commit(Commit(leases=[Lease(items(1), lease.token)]))
        assert driver.unfinished([])[SHARED] == 0

    def test_an_item_that_cannot_be_pickled_fails_the_whole_commit(self, driver, workers):
        with pytest.raises(ItemError, match="generator"):
            workers[0].commit(Commit(tasks=[items(1), items(number for number in ())]))
        assert driver.unfinished([])[SHARED] == 0
        assert workers[0].take(seconds=SOON) == []

    # The driver's view.

    def test_c1_a_watched_pe_without_unfinished_tasks_makes_an_event(self, driver, workers):
        driver.put([items(1), items(2), items(3, pe=PINNED, instance=0)])
        driver.unfinished([SHARED])
        for _ in range(2):
            assert driver.events(0.0) == []
            workers[0].commit(Commit(leases=take(workers[0])))
        workers[1].commit(Commit(leases=take(workers[1])))  # this PE is not watched
        assert events(driver) == [Quiescent(SHARED)]

    def test_replicas_are_listed_with_their_workers(self, driver, workers):
        workers[2].commit(Commit(replicas=[SHARED]))
        workers[0].commit(Commit(replicas=[SHARED, ROOT]))
        assert driver.replicas(SHARED) == [0, 2]
        assert driver.replicas(ROOT) == [0]
        assert driver.replicas(PINNED) == []

    def test_i4_log_lines_arrive_in_order(self, driver, workers):
        for number in range(100):
            workers[0].log("IterativePE1", 0, f"line {number}")
        got = events(driver, count=100)
        assert got == [LogLine("IterativePE1", 0, f"line {number}") for number in range(100)]
