"""What every store says of its load: full queues, idle and paused workers, and what waits."""

import threading

import pytest
from dynamic_helpers.store_contract import (
    PIN,
    PINNED,
    ROOT,
    SHARED,
    SOON,
    StoreContract,
    events,
    evict,
    items,
    payloads,
    settle,
    sizes,
    take,
)

from d4py_conformance.waiting import LIMIT, NEVER
from d4py_dynamic.store.limits import StoreLimits
from d4py_dynamic.store.protocols import InputOffset
from d4py_dynamic.store.tasks import (
    ANY,
    ASSIGN,
    CALLS,
    CONTROL_MESSAGES,
    FINISH,
    ITEMS,
    PAUSE,
    RESUME,
    Commit,
    Task,
)


class TestLoad(StoreContract):
    # Status.

    def test_a_worker_that_waits_for_work_is_idle(self, driver, workers, wait_until):
        settle(driver, workers)
        assert workers[0].status().idle == 0

        def wait(worker):
            while not worker.take():
                pass

        threads = [threading.Thread(target=wait, args=(worker,)) for worker in workers[1:]]
        for thread in threads:
            thread.start()
        wait_until(lambda: workers[0].status().idle == 2, "being idle")
        assert workers[0].commit(Commit(tasks=[items(1)])).idle > 0
        workers[0].commit(Commit(tasks=[items(2)]))
        for thread in threads:
            thread.join(LIMIT)
        assert workers[0].status().idle == 0

    @pytest.mark.parametrize("kind", [PAUSE, RESUME])
    def test_a_worker_that_got_only_control_messages_is_still_idle(self, driver, workers, kind):
        settle(driver, workers)
        driver.put([Task(kind, ANY)], 1)
        (lease,) = take(workers[1])
        assert workers[0].status().idle == 1
        workers[1].commit(Commit(leases=[lease]))
        assert workers[0].status().idle == 1
        driver.put([items(1)])
        take(workers[1])
        assert sizes(driver) == (0, 0, 0)

    def test_a_worker_that_has_adopted_tasks_is_not_idle(self, driver, workers):
        settle(driver, workers)
        driver.put([items(1, pe=PINNED, instance=0)])
        take(workers[1])
        evict(driver, 1)
        driver.put([Task(ASSIGN, PINNED, 0)], 2)
        take(workers[2])
        assert workers[0].status().idle == 1
        assert len(workers[2].adopt(PIN).leases) == 1
        assert workers[0].status().idle == 0

    def test_c6_an_instance_with_many_tasks_is_full_until_it_has_caught_up(self, driver, workers):
        place = (PINNED, 0)
        put = 0
        full = ()
        while not full:
            assert put < 1000, "nothing is ever full"
            status = workers[0].commit(Commit(tasks=[items(put, pe=PINNED, instance=0)]))
            full = status.full
            put += 1
        assert full == (place,)
        assert workers[0].status([place, (PINNED, 1)]).full == (place,)
        assert workers[0].status().full == ()
        done = 0
        while workers[0].status([place]).full:
            leases = workers[1].take(only=[place])
            done += len(leases)
            workers[1].commit(Commit(leases=leases))
        assert 0 < done <= put
        # It is not full again with the next task.
        assert workers[0].commit(Commit(tasks=[items(0, pe=PINNED, instance=0)])).full == ()

    def test_c6_a_leased_task_counts_for_the_queue_of_its_instance(self, driver, workers):
        place = (PINNED, 0)
        while not workers[0].commit(Commit(tasks=[items(1, pe=PINNED, instance=0)])).full:
            pass
        leases = []
        for _ in range(1000):
            leases += workers[1].take(only=[place])
        assert workers[0].status([place]).full == (place,)
        workers[1].commit(Commit(leases=leases))
        assert workers[0].status([place]).full == ()

    def test_c6_large_tasks_fill_an_instance_although_small_tasks_follow(self, driver, workers):
        size = StoreLimits().queue_bytes // 16
        for _ in range(20):
            workers[0].commit(Commit(tasks=[items(bytes(size), pe=PINNED, instance=0)]))
        assert workers[0].commit(Commit(tasks=[items(1, pe=PINNED, instance=0)])).full

    def test_c6_many_results_that_are_not_taken_make_the_results_full(self, driver, workers):
        commits = 0
        while not workers[0].commit(Commit(results=[("IterativePE1", "output", [1])])).results_full:
            commits += 1
            assert commits < 1000, "results are never too many"
        assert workers[2].status().results_full
        events(driver, count=commits + 1)
        assert not workers[2].status().results_full

    def test_the_queue_of_an_instance_has_a_length(self, driver, workers):
        assert driver.queue_length(ROOT, 0) == 0
        driver.put([Task(CALLS, ROOT, 0, None, 1)] * 3)
        assert driver.queue_length(ROOT, 0) == 3

    # Feeding.

    def test_c6_the_feeder_of_a_root_waits_until_a_call_is_done(self, driver, workers):
        call = Task(CALLS, ROOT, 0, None, [{}])
        assert not driver.feed([call], InputOffset(ROOT, 1, False), 2)
        assert driver.feed([call], InputOffset(ROOT, 2, False), 2)
        assert not driver.wait_for_room(ROOT, SOON)
        leases = workers[0].take(only=[(ROOT, 0)])
        assert not driver.wait_for_room(ROOT, SOON)
        workers[0].commit(Commit(leases=leases[:1]))
        assert driver.wait_for_room(ROOT, NEVER)

    def test_c6_the_feeder_of_shared_calls_waits_until_one_is_taken(self, driver, workers):
        calls = [Task(CALLS, SHARED, ANY, None, [{}])] * 2
        assert driver.feed(calls, InputOffset(SHARED, 2, False), 2)
        assert not driver.wait_for_room(SHARED, SOON)
        (lease,) = take(workers[2])
        assert driver.wait_for_room(SHARED, NEVER)
        workers[2].commit(Commit(leases=[lease]))
        assert not driver.feed([], InputOffset(SHARED, 2, True), 2)

    def test_c6_a_feeder_that_waits_is_woken(self, driver, workers):
        assert driver.feed([Task(CALLS, ROOT, 0, None, 1)], InputOffset(ROOT, 1, False), 1)
        (lease,) = workers[0].take(only=[(ROOT, 0)])
        woken = []
        thread = threading.Thread(
            target=lambda: woken.append(driver.wait_for_room(ROOT, NEVER)), daemon=True
        )
        thread.start()
        workers[0].commit(Commit(leases=[lease]))
        thread.join(LIMIT)
        assert woken == [True]

    # The load.

    def test_a_worker_does_not_count_itself_as_idle(self, driver, opened):
        first, second = opened.join(), opened.join()
        before = first.status().idle
        assert second.status().idle == before
        driver.put([items(1)])
        take(second)
        assert second.status().idle == before
        assert first.status().idle == before - 1

    def test_the_load_is_seen_with_what_is_taken(self, driver, workers):
        settle(driver, workers)
        driver.put([items(number) for number in range(3)])
        seen = []
        for worker in workers:
            take(worker)
            seen.append((worker.seen.idle, worker.seen.backlog))
        assert seen == [(0, 2), (0, 1), (0, 0)]
        assert workers[0].take(seconds=SOON) == []
        assert workers[0].seen.backlog == 0

    def test_a_commit_tells_how_long_calls_of_receivers_take(self, workers):
        sent = Commit(tasks=[items(1), items(2, pe=PINNED, instance=0)])
        assert workers[0].commit(sent).call_seconds == ()
        workers[2].commit(Commit(counters=[(SHARED, 4, 0.002)]))
        assert workers[0].commit(sent).call_seconds == ((SHARED, 0.0005),)
        assert workers[0].commit(Commit()).call_seconds == ()

    # Orders, and how much there is to do.

    @pytest.mark.parametrize("kind", CONTROL_MESSAGES)
    def test_control_messages_do_not_count(self, driver, workers, kind):
        order = Task(kind, PINNED, 0) if kind == ASSIGN else Task(kind, ANY)
        driver.unfinished([ROOT, SHARED, PINNED])
        driver.put([order], rank=2)
        assert driver.load().backlog == 0
        (lease,) = take(workers[2])
        assert lease.task == order
        workers[2].commit(Commit(leases=[lease]))
        assert driver.unfinished([]) == {ROOT: 0, SHARED: 0, PINNED: 0}
        assert driver.events(0.0) == []

    def test_the_backlog_is_the_number_of_queued_shared_tasks(self, driver, workers):
        driver.put([items(1), items(2), items(3), items(4, pe=PINNED, instance=0)])
        driver.put([Task(FINISH, SHARED)], rank=0)
        assert driver.load().backlog == 3
        take(workers[2])
        assert driver.load().backlog == 2

    def test_a_worker_that_has_joined_is_idle_until_it_takes_something(
        self, driver, opened, workers
    ):
        settle(driver, workers)
        assert sizes(driver) == (0, 0, 0)
        worker = opened.join()
        assert sizes(driver) == (0, 1, 0)
        assert workers[0].status().idle == 1
        driver.put([items(1)])
        assert workers[0].status().idle == 0  # it is served
        take(worker)
        assert sizes(driver) == (0, 0, 0)

    def test_a_paused_worker_gets_only_its_messages_and_the_tasks_of_its_instances(
        self, driver, workers, wait_until
    ):
        settle(driver, workers)
        taken = []
        stopped = threading.Event()

        def wait():
            while not stopped.is_set():
                leases = workers[1].take(seconds=SOON, shared=False)
                workers[1].commit(Commit(leases=leases))
                taken.extend(lease.task.kind for lease in leases)

        thread = threading.Thread(target=wait)
        thread.start()
        wait_until(lambda: len(driver.load().paused) == 1, "being paused")
        assert not driver.load().idle
        wait_until(lambda: workers[0].status().idle == 1, "its being counted")
        driver.put([items(1), items(2, pe=PINNED, instance=0)])
        driver.put([Task(RESUME, ANY)], rank=1)
        wait_until(lambda: len(taken) == 2, "its tasks")
        assert sorted(taken) == sorted([ITEMS, RESUME])
        assert driver.load().backlog == 1
        stopped.set()
        thread.join(LIMIT)
        assert workers[1].take(seconds=SOON, shared=False) == []
        assert sizes(driver) == (1, 0, 0)

    def test_pinned_tasks_stay_queued_while_they_are_not_taken(self, driver, workers):
        driver.put([items(1), items(2, pe=PINNED, instance=0)])
        driver.put([Task(RESUME, ANY)], rank=1)
        taken = workers[1].take(seconds=SOON, pinned=False) + workers[1].take(
            seconds=SOON, pinned=False
        )
        assert sorted(lease.task.kind for lease in taken) == sorted([RESUME, ITEMS])
        assert [lease.task.payload for lease in taken if lease.task.kind == ITEMS] == [[1]]
        assert payloads(take(workers[1])) == [[2]]
