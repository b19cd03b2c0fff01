"""What other programs write to a server, as tasks and events of a run."""

import itertools
import os
import pickle

import pytest
from dynamic_helpers.redis_runs import OWNERS, PINNED, ROOT, SHARED, items

from d4py_dynamic.store.protocols import Notice
from d4py_dynamic.store.redis.envelope import Envelope
from d4py_dynamic.store.tasks import Commit
from dispel4py.errors import ServiceError


class Bomb:
    """Makes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


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
