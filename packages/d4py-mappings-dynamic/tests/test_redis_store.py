"""The store on Redis: its keys, reads and leases."""

import pytest
from dynamic_helpers.redis_runs import OWNERS, PINNED, SHARED, items, use_every_key

from d4py_dynamic.store.redis.connections.blocking_command import BlockingCommand
from d4py_dynamic.store.redis.keys import RUNS
from d4py_dynamic.store.tasks import ANY, STOP, Commit, Task
from dispel4py.errors import ServiceError


def test_a_read_waits_for_its_answer_without_polling(opened, monkeypatch):
    asked = {"send": 0, "wait": 0}

    def count(name):
        method = getattr(BlockingCommand, name)

        def counting(*arguments, **options):
            asked[name] += 1
            return method(*arguments, **options)

        monkeypatch.setattr(BlockingCommand, name, counting)

    count("send")
    count("wait")
    for number in range(20):
        opened.driver.put([items(number)])
        opened.workers[0].take(seconds=0.0)
    assert asked["wait"] == asked["send"] >= 20


class TestKeys:
    def test_all_keys_of_a_run_begin_with_its_prefix(self, opened, client):
        use_every_key(opened)
        names = set(client.keys("*")) - {RUNS.encode()}
        assert len(names) > 14
        assert all(name.startswith(f"{opened.keys.prefix}:".encode()) for name in names)
        assert {name.decode() for name in names} <= set(opened.keys.all(3))

    def test_c4_the_driver_deletes_all_of_them(self, opened, client):
        use_every_key(opened)
        opened.driver.delete()
        assert client.keys("*") == []

    def test_c4_a_worker_whose_driver_is_gone_deletes_all_of_them(self, opened, client):
        use_every_key(opened)
        opened.workers[1].delete()
        assert client.keys("*") == []

    def test_c4_a_late_worker_makes_no_key_again(self, opened, client):
        opened.driver.put([items(1)])
        (lease,) = opened.workers[0].take()
        opened.driver.delete()
        late, idle = opened.workers
        for commit in (
            Commit(leases=[lease], tasks=[items(2)]),
            Commit(tasks=[items(2)], results=[("IterativePE1", "output", [1])]),
            Commit(counters=[(SHARED, 1, 1.0)], replicas=[SHARED]),
        ):
            with pytest.raises(ServiceError, match="has lost keys of this run"):
                late.commit(commit)
        late.log("IterativePE1", 0, "a last word")
        with pytest.raises(ServiceError, match="has lost keys of this run"):
            late.status([(PINNED, 0)])
        with pytest.raises(ServiceError, match="has lost keys of this run"):
            idle.take()
        assert client.keys("*") == []

    def test_c4_a_control_message_that_is_handled_late_makes_no_key_again(self, opened, client):
        """A worker elsewhere may take its order to stop just before the run is over."""
        worker, _ = opened.workers
        opened.driver.put([items(1)])
        worker.take()
        opened.driver.put([Task(STOP, ANY)], 0)

        def delete_run(reply):
            opened.driver.delete()
            return reply

        worker._reader._with_lost_entries = delete_run
        (lease,) = worker.take()
        assert lease.task.kind == STOP
        assert client.keys("*") == []

    def test_c4_a_driver_whose_run_was_ended_by_another_makes_no_key_again(self, opened, client):
        opened.driver.delete()
        for attempt in (
            lambda: opened.driver.evict(0, []),
            lambda: opened.driver.put([items(1)]),
            lambda: opened.driver.unfinished([SHARED]),
            opened.driver.join,
        ):
            with pytest.raises(ServiceError, match="has lost"):
                attempt()
        assert client.keys("*") == []

    def test_runs_on_one_server_are_separate(self, plan, server, opened, open_redis_store):
        other = open_redis_store(server, plan, OWNERS)
        opened.driver.put([items("mine"), items("mine", pe=PINNED, instance=0)])
        other.driver.put([items("theirs"), items("theirs", pe=PINNED, instance=0)])
        leases = opened.workers[1].take() + opened.workers[0].take()
        assert [lease.task.payload for lease in leases] == [["mine"], ["mine"]]
        opened.workers[0].log("IterativePE1", 0, "mine")
        assert other.driver.events(0.0) == []
        other.driver.delete()
        assert opened.driver.unfinished([])[SHARED] == 1


class TestLeases:
    def test_a_lease_that_another_worker_took_over_cannot_be_ended(self, opened, client):
        opened.driver.put([items(1), items(2)])
        (first,) = opened.workers[0].take()
        (second,) = opened.workers[0].take()
        client.xclaim(opened.keys.shared, "workers", "worker-1", 0, [second.token[1]])
        before = opened.driver.unfinished([])
        commit = Commit(leases=[first, second], tasks=[items(3)], counters=[(SHARED, 1, 1.0)])
        with pytest.raises(ServiceError, match="gave a task of this worker to another one"):
            opened.workers[0].commit(commit)
        assert opened.driver.unfinished([]) == before
        assert opened.driver.stats() == []
        opened.workers[0].commit(Commit(leases=[first]))

    def test_a_task_that_was_taken_stays_on_the_server_until_its_lease_ends(self, opened, client):
        opened.driver.put([items(1)])
        (lease,) = opened.workers[0].take()
        assert client.xlen(opened.keys.shared) == 1
        opened.workers[0].commit(Commit(leases=[lease]))
        assert client.xlen(opened.keys.shared) == 0


def test_c4_a_run_is_deleted_in_one_step(opened, client):
    """A worker whose driver was killed deletes the keys, and may be killed itself."""
    use_every_key(opened)
    sent = set()
    with client.monitor() as monitor:
        opened.workers[0].delete()
        client.echo("the end")
        while "ECHO" not in sent:
            seen = monitor.next_command()
            if seen["client_type"] != "lua":
                sent.add(seen["command"].split()[0])
    assert sent <= {"HELLO", "CLIENT", "HGET", "EVALSHA", "SCRIPT", "ECHO"}
    assert client.keys() == []
