"""Redis servers that lose, forget or refuse what the store sends."""

import threading
from contextlib import contextmanager
from functools import partial

import pytest
from dynamic_helpers.redis_runs import OWNERS, PINNED, ROOT, SHARED, items

from d4py_conformance.waiting import LIMIT
from d4py_dynamic.store.limits import StoreLimits
from d4py_dynamic.store.protocols import Notice
from d4py_dynamic.store.redis import task_reader
from d4py_dynamic.store.redis.connections.address import Address
from d4py_dynamic.store.redis.run_store import RedisRunStore
from d4py_dynamic.store.tasks import Commit, ResumePoint
from dispel4py.errors import ServiceError


class TestAcknowledging:
    """The driver finds out that a server is not the one that it has read events from."""

    @pytest.fixture
    def read(self, opened, wait_until):
        """Send an event, and read it; it is acknowledged together with the next read."""
        opened.workers[0].log("PE0", 0, "a line")
        # A server that does not know the script yet answers the first read with no event.
        wait_until(lambda: opened.driver.events(LIMIT), "the event")
        return opened.driver

    def test_c5_an_event_that_is_missing_when_it_is_acknowledged_ends_the_run(self, opened):
        opened.driver._events._received({b"1-1": Notice("read from the old primary")})
        message = r"has forgotten what it had confirmed: .*\(BACK events up to 1-1 are missing\)"
        for _ in ("once", "again, as when the first reply was lost"):
            with pytest.raises(ServiceError, match=message):
                opened.driver.missing_results()

    @pytest.mark.parametrize("is_made_again", [False, True])
    def test_c5_events_that_were_evicted_are_no_older_state(self, opened, client, is_made_again):
        opened.driver._events._received({b"1-1": Notice("read before")})
        client.delete(opened.keys.out)
        if is_made_again:
            opened.workers[0].log("PE0", 0, "a line")
        with pytest.raises(ServiceError, match=r"were deleted or evicted \(GONE .*:out\)$"):
            opened.driver.missing_results()

    @pytest.mark.parametrize("look", ["missing_results", "events", "unfinished"])
    def test_c5_an_acknowledgement_that_is_forgotten_ends_the_run(
        self, opened, client, read, wait_until, look
    ):
        answers, field = opened.keys.named("answers"), "events "
        wait_until(lambda: client.hexists(answers, field), "the acknowledgement")
        read.missing_results()
        client.hset(answers, field, "1-1")
        arguments = {"missing_results": (), "events": (0.0,), "unfinished": ([],)}[look]
        with pytest.raises(ServiceError, match="has forgotten what it had confirmed"):
            getattr(read, look)(*arguments)

    @pytest.mark.parametrize("caller", ["driver", "feeder", "worker"])
    def test_c5_calls_that_are_forgotten_are_found_when_a_connection_has_broken(
        self, opened, plan, server, client, caller
    ):
        feeder = RedisRunStore(server.address, opened.keys, b"x" * 32, plan)
        opened.driver.also_verify(feeder)
        feeder.put([items(1)])
        feeder.close()
        opened.driver.put([items(2)])
        worker = opened.workers[0]
        worker.commit(Commit(leases=worker.take()))
        answers = opened.keys.named("answers")
        scripts = {"driver": opened.driver, "feeder": feeder, "worker": worker}[caller]._scripts
        client.hdel(answers, scripts._caller)
        client.client_kill_filter(_type="normal", skipme=True)
        take, read = partial(worker.take, seconds=0.0), partial(opened.driver.events, 0.0)
        message = rf"has forgotten .*\(BACK call 0 of {scripts._caller}"
        with pytest.raises(ServiceError, match=message):
            call_until_it_raises(take if caller == "worker" else read)


def call_until_it_raises(call):
    """Call a function twice: the first call finds the broken connection."""
    call()
    call()


class TestALossyServer:
    """Keys that are deleted, or that the server evicts, fail the run and never change it."""

    def test_all_keys_are_lost(self, opened, client):
        opened.driver.put([items(1)])
        (lease,) = opened.workers[0].take()
        client.flushall()
        with pytest.raises(ServiceError, match="has lost the counts"):
            opened.driver.unfinished([])
        for attempt in (
            opened.workers[0].take,
            lambda: opened.workers[1].take(only=[(PINNED, 0)]),
            lambda: opened.workers[0].commit(Commit(leases=[lease])),
            lambda: opened.workers[0].commit(Commit(tasks=[items(1)])),
            opened.driver.missing_results,
        ):
            with pytest.raises(ServiceError, match="has lost"):
                attempt()

    def test_c5_a_server_that_may_be_another_lacks_counts_for_either_reason(self, opened, client):
        opened.driver._audit._address = Address("redis+sentinel://localhost/primary")
        client.flushall()
        with pytest.raises(ServiceError, match=r"has lost the counts .*, or failed over, during"):
            opened.driver.unfinished([])

    def test_all_keys_are_lost_while_a_worker_waits(self, opened, client, wait_until):
        caught = []

        def wait():
            try:
                while True:
                    opened.workers[0].take()
            except ServiceError as error:
                caught.append(error)

        thread = threading.Thread(target=wait, daemon=True)
        thread.start()
        wait_until(lambda: client.exists(opened.keys.named("idle")), "waiting")
        client.flushall()
        thread.join(LIMIT)
        assert "has lost keys of this run" in str(caught[0])
        client.flushall()

    def test_counts_that_were_made_again_are_not_trusted(self, opened, client):
        opened.driver.put([items(1), items(2)])
        opened.workers[0].take()
        client.delete(opened.keys.named("unfinished"))
        with pytest.raises(ServiceError, match="has lost keys of this run"):
            opened.driver.put([items(3)])
        client.hincrby(opened.keys.named("unfinished"), str(SHARED), 1)
        with pytest.raises(ServiceError, match="has lost the counts of this run"):
            opened.driver.unfinished([])

    @pytest.mark.parametrize("taken", [False, True])
    def test_a_stream_of_tasks_is_lost(self, opened, client, taken):
        opened.driver.put([items(1)])
        if taken:
            opened.workers[0].take()
        client.delete(opened.keys.shared)
        with pytest.raises(ServiceError, match="has lost 1 tasks"):
            opened.driver.unfinished([])

    def test_a_single_task_is_lost(self, opened, client):
        opened.driver.put([items(1), items(2)])
        client.xtrim(opened.keys.shared, maxlen=1, approximate=False)
        with pytest.raises(ServiceError, match=r"has lost 1 tasks: .* noeviction"):
            opened.driver.unfinished([])

    def test_an_empty_stream_is_lost(self, opened, client):
        client.delete(opened.keys.pin(PINNED, 0))
        opened.workers[0].commit(Commit(tasks=[items(1, pe=PINNED, instance=0)]))
        with pytest.raises(ServiceError, match="has lost keys of this run"):
            opened.workers[1].take()

    def test_results_are_lost(self, opened, client):
        results = [("IterativePE1", "output", [1])]
        opened.workers[0].commit(Commit(results=results))
        opened.workers[0].commit(Commit(results=results))
        client.xtrim(opened.keys.out, maxlen=1, approximate=False)
        with pytest.raises(ServiceError, match="has lost 1 batches of results"):
            opened.driver.missing_results()

    def test_the_names_of_replicas_are_lost(self, opened, client):
        opened.workers[0].commit(Commit(replicas=[SHARED]))
        client.delete(opened.keys.named("replicas"))
        with pytest.raises(ServiceError, match="has lost the names of 1 replicas"):
            opened.driver.unfinished([])

    def test_keys_without_tasks_or_results_may_be_lost(self, opened, client):
        opened.driver.put([items(1)])
        opened.driver.unfinished([SHARED])
        for name in ("watched", "idle", "calls", "busy"):
            client.delete(opened.keys.named(name))
        opened.workers[0].commit(Commit(leases=opened.workers[0].take()))
        assert opened.driver.unfinished([])[SHARED] == 0


class TestAFullServer:
    """A server at its maxmemory refuses a commit as a whole, and says what would help."""

    @pytest.fixture
    def opened(self, plan, own_server, open_redis_store):
        return open_redis_store(own_server, plan, OWNERS)

    @pytest.fixture
    def own_server(self, start_server):
        return start_server("--maxmemory-policy", "noeviction")

    @pytest.fixture
    def full(self, own_server):
        """Makes the server full in a block: it may use less than it does, whatever it frees."""

        @contextmanager
        def full():
            with own_server.client() as client:
                client.config_set("maxmemory", "100kb")
                yield
                client.config_set("maxmemory", 0)

        return full

    def test_the_whole_commit_is_refused(self, opened, full):
        opened.driver.put([items(1)])
        (lease,) = opened.workers[0].take()
        before = opened.driver.unfinished([])
        with full(), pytest.raises(ServiceError, match=r"is out of memory .* raise its maxmemory"):
            opened.workers[0].commit(
                Commit(
                    leases=[lease],
                    tasks=[items(2)],
                    results=[("IterativePE1", "output", [3])],
                    states=[((ROOT, 0), b"state")],
                    instance_positions=[((ROOT, 0), ResumePoint())],
                )
            )
        assert opened.driver.unfinished([]) == before
        with full(), pytest.raises(ServiceError, match="is out of memory"):
            opened.driver.put([items(2)])
        assert opened.driver.unfinished([]) == before
        opened.workers[0].commit(Commit(leases=[lease], tasks=[items(2)]))
        assert opened.driver.unfinished([])[SHARED] == 1


class TestABrokenConnection:
    def test_c5_entries_of_a_read_whose_connection_broke_are_found(
        self, plan, server, open_redis_store, client, monkeypatch, wait_until
    ):
        """The server may notice late that a connection is gone whose read still waits there."""
        opened = open_redis_store(server, plan, OWNERS, StoreLimits(reread_seconds=0.1))
        worker, _ = opened.workers
        monkeypatch.setattr(task_reader, "broken_connections", lambda client: 1)
        assert worker.take(seconds=0.0) == []
        opened.driver.put([items(1)])
        stream = opened.keys.shared
        client.xreadgroup("workers", "worker-0", {stream: ">"})  # as that read does
        taken = []
        wait_until(lambda: taken.extend(worker.take(seconds=0.01)) or taken, "the task")
        assert [lease.task.payload for lease in taken] == [[1]]

    def test_m3_an_entry_that_such_a_read_has_taken_comes_before_later_ones(
        self, plan, server, open_redis_store, client, monkeypatch
    ):
        opened = open_redis_store(server, plan, OWNERS)
        _, worker = opened.workers
        monkeypatch.setattr(task_reader, "broken_connections", lambda client: 1)
        assert worker.take(seconds=0.0) == []
        stream = opened.keys.pin(PINNED, 0)
        for number in (1, 2, 3):
            opened.driver.put([items(number, pe=PINNED, instance=0)])
            if number == 1:
                client.xreadgroup("workers", "worker-1", {stream: ">"})
        taken = [lease.task.payload for _ in range(3) for lease in worker.take(seconds=0.0)]
        assert taken == [[1], [2], [3]]
