"""The rules of `TaskStore` and `RunStore`, for every store.

A subclass of `StoreContract` with a fixture `opened` tests a store.
"""

import itertools
import threading
import time

import pytest

from d4py_conformance.waiting import LIMIT, NEVER
from d4py_dynamic.store.limits import StoreLimits
from d4py_dynamic.store.protocols import InputOffset, LogLine, Quiescent, Results
from d4py_dynamic.store.redis import address
from d4py_dynamic.store.tasks import (
    ANY,
    ASSIGN,
    CALLS,
    CONTROL_MESSAGES,
    FINISH,
    ITEMS,
    PAUSE,
    RESUME,
    AdoptedInstance,
    Attempt,
    Commit,
    Eviction,
    Lease,
    ResumePoint,
    Task,
)
from dispel4py import IterativePE, ProducerPE, WorkflowGraph
from dispel4py.engine.plan import make_plan
from dispel4py.errors import ItemError, ProcessingError, ServiceError
from dispel4py.result import Failure

ROOT, SHARED, PINNED = range(3)

PIN, OTHER_PIN = (PINNED, 0), (PINNED, 1)
#: Instances of the second worker.
OWNED = [PIN, OTHER_PIN]

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


def payloads(leases):
    return [lease.task.payload for lease in leases]


def take(worker, *, within=LIMIT):
    """Take at least one lease."""
    until = time.monotonic() + within
    while True:
        leases = worker.take()
        if leases:
            return leases
        assert time.monotonic() < until, "no task came"


def events(driver, *, count=1, within=LIMIT):
    """Return at least so many events."""
    found = []
    until = time.monotonic() + within
    while len(found) < count:
        found += driver.events(0.05)
        assert time.monotonic() < until, f"only {found} came"
    return found


def settle(driver, workers):
    """Have each worker take something, so that none is idle."""
    for worker in workers:
        driver.put([items(0)])
        worker.commit(Commit(leases=take(worker)))


def evict(driver, rank):
    """Evict a worker, with the instances that it owns at first."""
    return driver.evict(rank, OWNED if rank == 1 else [])


def sizes(driver):
    """Backlog, and how many workers are idle and paused."""
    load = driver.load()
    return load.backlog, len(load.idle), len(load.paused)


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
        return [[(ROOT, 0)], OWNED, []]

    @pytest.fixture
    def driver(self, opened):
        return opened.driver

    @pytest.fixture
    def workers(self, opened):
        return opened.workers

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

    # Workers that are lost.

    def test_h2_a_new_owner_gets_the_leases_of_the_previous_owner(self, driver, opened, workers):
        driver.put([items(number, pe=PINNED, instance=0) for number in range(5)])
        leases = []
        while len(leases) < 3:
            leases += workers[1].take(only=[PIN])
        sent = ResumePoint(0, (("output", 7),))
        workers[1].commit(
            Commit(leases=leases[:1], states=[(PIN, b"a state")], instance_positions=[(PIN, sent)])
        )
        evict(driver, 1)
        adopted = workers[0].adopt(PIN)
        assert adopted.state == b"a state"
        assert adopted.position == sent
        assert payloads(adopted.leases) == payloads(leases[1:])
        # What was not taken comes after it, and both can be ended by the new owner.
        rest = []
        while len(leases) + len(rest) < 5:
            rest += take(workers[0])
        assert [*payloads(leases), *payloads(rest)] == [[number] for number in range(5)]
        workers[0].commit(Commit(leases=[*adopted.leases, *rest]))
        assert driver.unfinished([])[PINNED] == 0

    def test_h2_an_instance_without_previous_owner_is_as_in_the_plan(self, opened):
        assert opened.join().adopt((ROOT, 0)) == AdoptedInstance(None, ResumePoint(), [])

    def test_c6_positions_name_the_roots_that_are_too_far_ahead(self, opened):
        owner, other = opened.join(), opened.join()
        owner.adopt(PIN)
        assert other.positions([PIN, (ROOT, 0)]) == [ResumePoint(), ResumePoint()]
        ahead = ResumePoint(1, ahead=(ROOT,))
        owner.commit(Commit(states=[(PIN, b"1")], instance_positions=[(PIN, ahead)]))
        assert other.positions([(ROOT, 0), PIN]) == [ResumePoint(), ahead]

    def test_h2_each_owner_continues_where_the_previous_one_stopped(self, driver, opened, workers):
        driver.put([items(*range(10), pe=PINNED, instance=0)])
        owner, rank = workers[1], 1
        leases = owner.take(only=[PIN])
        for done in range(1, 4):
            owner.commit(
                Commit(states=[(PIN, b"%d" % done)], instance_positions=[(PIN, ResumePoint(done))])
            )
            evict(driver, rank)
            owner, rank = opened.join(), rank + 2 if done == 1 else rank + 1
            adopted = owner.adopt(PIN)
            assert (adopted.state, adopted.position) == (b"%d" % done, ResumePoint(done))
            assert payloads(adopted.leases) == payloads(leases)

    def test_h2_a_state_that_cannot_be_stored_is_known_to_be_lost(self, driver, opened, workers):
        lost = ResumePoint(0, None)
        workers[1].commit(Commit(states=[(PIN, None)], instance_positions=[(PIN, lost)]))
        evict(driver, 1)
        assert opened.join().adopt(PIN).position == lost

    def test_c5_shared_tasks_of_a_lost_worker_are_taken_again(self, driver, workers):
        driver.put([items(1), items(2)])
        (first,) = take(workers[2])
        (second,) = take(workers[2])
        sent = ResumePoint(0, (("output", 3),))
        workers[2].commit(Commit(lease_positions=[(first, sent)]))
        lost = evict(driver, 2)
        assert [lease[:1] + lease[2:] for lease in lost.leases] == [
            (first.task, sent, 1),
            (second.task, ResumePoint(), 1),
        ]
        assert driver.unfinished([])[SHARED] == 2
        again = take(workers[0]) + take(workers[0])
        assert sorted(payloads(again)) == [[1], [2]]
        found = {lease.task.payload[0]: lease for lease in again}
        assert (found[1].position, found[1].delivery_count) == (sent, 1)
        assert (found[2].position, found[2].delivery_count) == (ResumePoint(), 1)
        workers[0].commit(Commit(leases=again))
        assert driver.unfinished([])[SHARED] == 0

    def test_c5_deliveries_of_a_shared_task_count_first_and_then_in_attempts(self, driver, opened):
        driver.put([items(1), items(2)])
        told = []
        for rank, attempts in enumerate(["none", "none", "it", "the other", "it"], 3):
            worker = opened.join()
            one, other = sorted(take(worker) + take(worker), key=lambda lease: lease.task.payload)
            about = {"it": one, "the other": other}.get(attempts)
            if about is not None:
                worker.commit(Commit(attempt=Attempt(about, in_call=True)))
            lost = driver.evict(rank, []).leases
            told.append(sorted((lease.task.payload[0], lease.delivery_count) for lease in lost))
        assert told == [
            [(1, 1), (2, 1)],
            [(1, 1), (2, 1)],
            [(1, 2), (2, 1)],
            [(1, 2), (2, 2)],
            [(1, 3), (2, 2)],
        ]
        assert driver.unfinished([])[SHARED] == 2

    def test_c5_an_attempt_ends_with_the_next_commit(self, driver, opened):
        driver.put([items(1)])
        for rank in range(3, 6):
            worker = opened.join()
            (lease,) = take(worker)
            worker.commit(Commit(attempt=Attempt(lease, in_call=True)))
            worker.commit(Commit(results=[("IterativePE1", "output", [1])]))
            assert [lease.delivery_count for lease in driver.evict(rank, []).leases] == [1]

    def test_c5_progress_resets_the_delivery_count_of_a_shared_task(self, driver, opened):
        driver.put([items(1, 2)])
        for rank in range(3, 6):
            worker = opened.join()
            (lease,) = take(worker)
            assert lease.delivery_count == min(rank - 3, 1)
            commit = Commit(lease_positions=[(lease, ResumePoint(1))], progressed=[lease])
            worker.commit(commit)
            assert [lease.delivery_count for lease in driver.evict(rank, []).leases] == [1]

    @pytest.mark.parametrize("in_call", [True, False])
    def test_c5_an_eviction_tells_whether_the_attempt_was_in_a_call(self, driver, opened, in_call):
        driver.put([items(1, pe=PINNED, instance=0)])
        worker = opened.join()
        worker.adopt(PIN)
        worker.take(only=[PIN])
        worker.commit(Commit(attempt=Attempt(PIN, in_call)))
        assert driver.evict(3, OWNED) == Eviction([], [], [(PIN, 2)], starting=not in_call)

    def test_c5_a_worker_is_evicted_once(self, driver, workers):
        driver.put([items(1), items(2, pe=PINNED, instance=0)])
        workers[1].take(only=[PIN])
        assert evict(driver, 1).pins == [(PIN, 1)]
        before = driver.unfinished([])
        assert evict(driver, 1) == Eviction([], [], [])
        assert driver.unfinished([]) == before
        assert workers[0].adopt(PIN).delivery_count == 1

    def test_c5_deliveries_of_an_instance_count_from_its_last_progress(
        self, driver, opened, workers
    ):
        driver.put([items(1, pe=PINNED, instance=0)])
        workers[1].take(only=[PIN])
        assert evict(driver, 1).pins == [(PIN, 1)]
        for rank, delivery_count in ((3, 2), (4, 3)):
            worker = opened.join()
            assert worker.adopt(PIN).delivery_count == delivery_count - 1
            worker.commit(Commit(attempt=Attempt(PIN, in_call=True)))
            assert driver.evict(rank, OWNED).pins == [(PIN, delivery_count)]
        worker = opened.join()
        assert worker.adopt(PIN).delivery_count == 3
        worker.commit(Commit(attempt=Attempt(OTHER_PIN, in_call=True)))
        assert driver.evict(5, OWNED).pins == [(PIN, 3)]
        worker = opened.join()
        assert worker.adopt(PIN).delivery_count == 3
        progressed = Commit(
            states=[(PIN, b"")], instance_positions=[(PIN, ResumePoint(1))], progressed=[PIN]
        )
        worker.commit(progressed)
        assert driver.evict(6, OWNED).pins == [(PIN, 1)]

    def test_c5_deliveries_of_an_instance_without_tasks_do_not_count(self, driver, opened, workers):
        driver.put([items(1, pe=PINNED, instance=1)])
        for rank in (1, 3, 4, 5):
            if rank > 1:
                worker = opened.join()
                assert [worker.adopt(pin).delivery_count for pin in OWNED] == [0, 0]
            assert driver.evict(rank, OWNED).pins == []

    def test_c5_the_inbox_of_an_evicted_worker_no_longer_counts(self, driver, workers):
        driver.unfinished([SHARED])
        driver.put([Task(FINISH, SHARED), Task(FINISH, SHARED), Task(PAUSE, ANY)], rank=2)
        take(workers[2])
        assert driver.unfinished([])[SHARED] == 2
        assert evict(driver, 2) == Eviction([], [], [])
        assert driver.unfinished([])[SHARED] == 0
        assert events(driver) == [Quiescent(SHARED)]

    def test_d2_an_eviction_returns_and_removes_replicas(self, driver, workers):
        workers[2].commit(Commit(replicas=[SHARED, PINNED]))
        workers[0].commit(Commit(replicas=[SHARED]))
        assert evict(driver, 2).replicas == [SHARED, PINNED]
        assert driver.replicas(SHARED) == [0]
        assert driver.replicas(PINNED) == []
        driver.unfinished([])

    def test_d2_a_replica_that_was_finished_is_removed(self, driver, workers):
        for rank in (0, 2):
            workers[rank].commit(Commit(replicas=[SHARED]))
            driver.put([Task(FINISH, SHARED)], rank)
        workers[2].commit(Commit(leases=take(workers[2])))
        assert driver.replicas(SHARED) == [0]
        assert evict(driver, 2).replicas == []
        # One that is made to be finished, and finished, in one commit:
        driver.put([Task(FINISH, SHARED)])
        (lease,) = take(workers[1])
        workers[1].commit(Commit(leases=[lease], replicas=[SHARED]))
        assert driver.replicas(SHARED) == [0]
        driver.unfinished([])

    def test_h2_an_evicted_worker_is_refused(self, driver, workers):
        driver.put([items(1), items(2, pe=PINNED, instance=0)])
        (lease,) = take(workers[2])
        driver.put([items(3)])
        take(workers[2])
        (own,) = take(workers[1])
        assert payloads(evict(driver, 2).leases) == [[1], [3]]
        evict(driver, 1)
        before = driver.unfinished([])
        for commit in (
            Commit(),
            Commit(leases=[lease]),
            Commit(lease_positions=[(lease, ResumePoint(0, (("output", 1),)))]),
            Commit(tasks=[items(4)], results=[("IterativePE1", "output", [5])]),
            Commit(counters=[(SHARED, 1, 1.0)], replicas=[SHARED]),
        ):
            with pytest.raises(ServiceError):
                workers[2].commit(commit)
        with pytest.raises(ServiceError):
            workers[1].commit(
                Commit(
                    leases=[own],
                    states=[(PIN, b"late")],
                    instance_positions=[(PIN, ResumePoint(9))],
                )
            )
        with pytest.raises(ServiceError):
            workers[2].adopt(PIN)
        for rank in (1, 2):
            for only in (None, [], OWNED):
                with pytest.raises(ServiceError):
                    workers[rank].take(only, SOON)
        # Nothing of all that is true, and others have its tasks.
        assert driver.unfinished([]) == before == {ROOT: 0, SHARED: 2, PINNED: 1}
        assert driver.missing_results() == 0
        assert driver.stats() == []
        assert driver.replicas(SHARED) == []
        adopted = workers[0].adopt(PIN)
        assert (adopted.state, adopted.position) == (None, ResumePoint())
        again = []
        while len(again) < 2:
            again += take(workers[0])
        assert sorted(payloads(again)) == [[1], [3]]
        assert {lease.position for lease in again} == {ResumePoint()}

    def test_h2_a_waiting_worker_that_is_evicted_gets_nothing(self, driver, workers, wait_until):
        settle(driver, workers)
        caught = []

        def wait():
            try:
                while True:
                    caught.extend(workers[2].take())
            except ServiceError as error:
                caught.append(error)

        thread = threading.Thread(target=wait)
        thread.start()
        wait_until(lambda: workers[0].status().idle, "waiting")
        evict(driver, 2)
        driver.put([items(1)])
        assert payloads(take(workers[0])) == [[1]]
        thread.join(LIMIT)
        (error,) = caught
        assert isinstance(error, ServiceError)
        assert not driver.load().idle

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


class TestRedisStore(StoreContract):
    @pytest.fixture
    def opened(self, plan, owners, server, open_redis_store, monkeypatch):
        # After each such wait a feeder looks at its queue, woken or not.
        monkeypatch.setattr(address, "_BLOCK_SECONDS", NEVER)
        return open_redis_store(server, plan, owners)


class TestInMemoryStore(StoreContract):
    """The store of `dyn_multi`, in one process; other tests of this folder run on it."""

    @pytest.fixture
    def opened(self, plan, owners, local_store):
        return local_store(plan).open(owners)


class TestInMemoryStoreOverConnections(StoreContract):
    """The same as worker processes reach it."""

    @pytest.fixture
    def opened(self, plan, owners, open_rpc_store):
        return open_rpc_store(plan, owners)
