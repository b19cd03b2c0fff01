"""What every store does about workers that are lost: leases, instances, replicas, attempts."""

import threading

import pytest
from dynamic_helpers.store_contract import (
    OTHER_PIN,
    OWNED,
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
    take,
)

from d4py_conformance.waiting import LIMIT
from d4py_dynamic.store.protocols import Quiescent
from d4py_dynamic.store.tasks import (
    ANY,
    FINISH,
    PAUSE,
    AdoptedInstance,
    Attempt,
    Commit,
    Eviction,
    ResumePoint,
    Task,
)
from dispel4py.errors import ServiceError


class TestLosses(StoreContract):
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
