"""The store on Redis: keys, bytes that are not ours, and a server that loses or refuses things."""

import itertools
import os
import pickle
import threading
from contextlib import contextmanager
from functools import partial

import pytest

from d4py_conformance.waiting import LIMIT
from d4py_dynamic.store.limits import StoreLimits
from d4py_dynamic.store.protocols import Notice
from d4py_dynamic.store.redis import task_reader
from d4py_dynamic.store.redis.blocking_command import BlockingCommand
from d4py_dynamic.store.redis.envelope import Envelope
from d4py_dynamic.store.redis.keys import RUNS
from d4py_dynamic.store.redis.run_store import RedisRunStore
from d4py_dynamic.store.tasks import ANY, ITEMS, STOP, Commit, ResumePoint, Task
from dispel4py import IterativePE, ProducerPE, WorkflowGraph
from dispel4py.engine.plan import make_plan
from dispel4py.errors import ServiceError

ROOT, SHARED, PINNED = range(3)
OWNERS = [[(ROOT, 0)], [(PINNED, 0)]]


@pytest.fixture
def plan():
    graph = WorkflowGraph()
    shared, pinned = IterativePE(), IterativePE()
    pinned.stateful = True
    graph.connect(ProducerPE(), "output", shared, "input")
    graph.connect(shared, "output", pinned, "input")
    return make_plan(graph)


@pytest.fixture
def opened(plan, server, open_redis_store):
    return open_redis_store(server, plan, OWNERS)


@pytest.fixture
def client(server):
    with server.client() as client:
        yield client


def items(*values, pe=SHARED, instance=ANY):
    return Task(ITEMS, pe, instance, "input", list(values))


class Bomb:
    """Makes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


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


def use_every_key(opened):
    worker, owner = opened.workers
    opened.driver.put([items(1), items(2, pe=PINNED, instance=0)])
    opened.driver.unfinished([SHARED])
    (lease,) = worker.take()
    worker.commit(
        Commit(
            states=[((ROOT, 0), b"state")],
            instance_positions=[((ROOT, 0), ResumePoint(3))],
            lease_positions=[(lease, ResumePoint(0, (("output", 1),)))],
            tasks=[items(3)],
            results=[("IterativePE1", "output", [1])],
            counters=[(SHARED, 1, 1.0)],
            replicas=[SHARED],
        )
    )
    worker.log("IterativePE1", 0, "a line")
    owner.take(only=[(PINNED, 0)])
    opened.join()
    opened.driver.evict(1, [(PINNED, 0)])


class TestForeignBytes:
    """What other programs write to the server is dropped and reported, and never unpickled."""

    def test_a_foreign_task_is_never_unpickled(self, opened, client, tmp_path):
        boom = pickle.dumps(items(Bomb(tmp_path / "boom")))
        streams = opened.keys.streams(2)
        for stream in streams:
            for data in (boom, b"\0" * 16 + boom, b""):
                client.xadd(stream, {"d": data})
        while any(map(client.xlen, streams)):
            assert opened.workers[0].take(only=[(ROOT, 0)]) == []
            assert opened.workers[1].take(only=[(PINNED, 0)]) == []
            for worker, stream in zip(opened.workers, streams[-2:], strict=True):
                if client.xlen(stream) or client.xlen(opened.keys.shared):
                    assert worker.take() == []
        assert not (tmp_path / "boom").exists()
        assert pickle.loads(boom)
        assert (tmp_path / "boom").exists()

    def test_a_foreign_event_is_never_unpickled(self, opened, client, tmp_path):
        boom = pickle.dumps(Notice(Bomb(tmp_path / "boom")))
        client.xadd(opened.keys.out, {"d": boom})
        client.xadd(opened.keys.out, {"d": b"\0" * 16 + boom})
        assert all(isinstance(event, Notice) for event in opened.driver.events(0.0))
        assert not (tmp_path / "boom").exists()

    def test_foreign_bytes_are_reported_with_place_and_size(self, opened, client):
        client.xadd(opened.keys.shared, {"d": b"x" * 123})
        assert opened.workers[0].take() == []
        assert opened.driver.events(0.0) == [
            Notice(f"dropped 123 foreign bytes at {opened.keys.shared}")
        ]

    def test_foreign_bytes_are_removed_from_the_server(self, opened, client):
        client.xadd(opened.keys.shared, {"d": b"x" * 123})
        assert opened.workers[0].take() == []
        assert client.xlen(opened.keys.shared) == 0
        assert client.xpending(opened.keys.shared, "workers")["pending"] == 0
        opened.driver.events(0.0)
        assert client.xlen(opened.keys.out) == 0

    @pytest.mark.parametrize(
        "fields", [{"other": b"1"}, {"quiescent": b"x"}, {"quiescent": b"-1"}, {"quiescent": b""}]
    )
    def test_an_entry_without_our_fields_is_dropped_and_reported(self, opened, client, fields):
        client.xadd(opened.keys.shared, fields)
        client.xadd(opened.keys.out, fields)
        assert opened.workers[0].take() == []
        first, second = opened.driver.events(0.0)
        assert "dropped an entry" in first.text
        assert "dropped an entry" in second.text

    def test_tasks_of_the_run_are_still_processed(self, opened, client):
        client.xadd(opened.keys.shared, {"d": b"before"})
        opened.driver.put([items(1)])
        client.xadd(opened.keys.shared, {"d": b"after"})
        taken = list(itertools.chain(*(opened.workers[0].take() for _ in range(3))))
        assert [lease.task.payload for lease in taken] == [[1]]
        opened.workers[0].commit(Commit(leases=taken))
        assert opened.driver.unfinished([])[SHARED] == 0

    def test_a_changed_task_is_foreign(self, opened, client):
        opened.driver.put([items("pay 1")])
        ((_, fields),) = client.xrange(opened.keys.shared)
        client.xtrim(opened.keys.shared, maxlen=0, approximate=False)
        client.xadd(opened.keys.shared, {"d": fields[b"d"][:-1] + bytes([fields[b"d"][-1] ^ 1])})
        assert opened.workers[0].take() == []
        # The task itself was taken away, and that does not go unnoticed either.
        with pytest.raises(ServiceError, match="has lost 1 tasks"):
            opened.driver.unfinished([])

    def test_a_task_that_was_moved_to_another_stream_is_foreign(self, opened, client):
        opened.driver.put([items(1, pe=PINNED, instance=0)])
        ((_, fields),) = client.xrange(opened.keys.pin(PINNED, 0))
        client.xadd(opened.keys.shared, fields)
        client.xadd(opened.keys.inbox(0), fields)
        client.xadd(opened.keys.out, fields)
        for _ in range(3):
            assert opened.workers[0].take() == []
        events = opened.driver.events(0.0)
        assert len(events) == 3
        assert all("foreign" in event.text for event in events)

    def test_a_task_of_another_run_is_foreign(self, opened, plan, server, client, open_redis_store):
        other = open_redis_store(server, plan, OWNERS)
        other.driver.put([items(1)])
        ((_, fields),) = client.xrange(other.keys.shared)
        client.xadd(opened.keys.shared, fields)
        assert opened.workers[0].take() == []
        (event,) = opened.driver.events(0.0)
        assert "foreign" in event.text

    def test_the_secret_is_not_on_the_server(self, plan, server, client):
        envelope = Envelope(b"a secret of thirty-two bytes ...")
        sealed = envelope.wrap(items(1), "d4py:1:shared")
        assert b"secret" not in sealed
        assert envelope.unwrap({b"d": sealed}, "d4py:1:shared") == items(1)


class TestAcknowledging:
    """The driver finds out that a server is not the one that it has read events from."""

    @pytest.fixture
    def read(self, opened):
        """Send an event, and read it; it is acknowledged together with the next read."""
        opened.workers[0].log("PE0", 0, "a line")
        assert len(opened.driver.events(5.0)) == 1
        return opened.driver

    def test_c5_an_event_that_is_missing_when_it_is_acknowledged_ends_the_run(self, opened):
        opened.driver._events._received({b"1-1": Notice("read from the old primary")})
        with pytest.raises(ServiceError, match="has lost keys of this run"):
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
