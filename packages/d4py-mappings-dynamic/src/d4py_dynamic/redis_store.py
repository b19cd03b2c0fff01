"""`TaskStore` on Redis streams: a worker's side.

Shared tasks lie in one stream that all workers read as one consumer group, so an entry that was
read and not acknowledged is a lease.  Every pinned instance has a stream of its own that only its
owner reads, every worker an inbox.  A commit is one Lua script.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from typing import Any

from d4py_dynamic.redis_keys import FIELD, GROUP, Envelope, RunKeys
from d4py_dynamic.redis_server import Address, connect, service_errors
from d4py_dynamic.store import LogLine, Note, Results
from d4py_dynamic.tasks import ITEMS, Commit, Lease, Pin, Pressure, Task
from dispel4py.codec import ForeignBytesError
from dispel4py.errors import ItemError

#: Tasks of a pinned instance that may wait before their senders pause.
MOST_WAITING = 32
#: Entries of results that may wait for the driver before workers pause.
MOST_RESULTS = 64
#: About how many bytes these may be: where entries are large, fewer may wait.
_MOST_BYTES = 32 << 20
#: How many entries to read from pinned streams at once, and about how many bytes of any.
_READ_COUNT, READ_BYTES = 16, 4 << 20
#: In one of so many turns a worker takes shared tasks though its own instances have some.
_TURNS = 8
_BLOCK_MILLISECONDS = 500


def load_script(name: str) -> str:
    """Source of a Lua script of this package."""
    return files("d4py_dynamic").joinpath("lua", f"{name}.lua").read_text(encoding="utf-8")


class RedisTaskStore:
    """See `TaskStore`.

    Args:
        address: the server.
        keys: the run's keys.
        secret: the run's secret.
        rank: number of this worker.
        pins: the pinned instances that this worker owns.
    """

    def __init__(
        self,
        address: Address,
        keys: RunKeys,
        secret: bytes,
        rank: int,
        pins: Sequence[Pin],
    ) -> None:
        self._address = address
        self._keys = keys
        self._envelope = Envelope(secret)
        self._rank = rank
        self._consumer = f"worker-{rank}"
        self._pins: dict[Any, Any] = {keys.pin(*pin): ">" for pin in pins}
        self._everything = {**self._pins, keys.inbox(rank): ">", keys.shared: ">"}
        self._turn = 0
        self._task_size: dict[Pin, int] = {}
        self._results_size = self._entry_size = 0
        self._redis = connect(address)
        self._commit = self._redis.register_script(load_script("commit"))

    def take(self, only: Sequence[Pin] | None = None) -> list[Lease]:
        with service_errors(self._address):
            if only is not None:
                return self._read({self._keys.pin(*pin): ">" for pin in only})
            # What only this worker can do comes first, but not each time: while it always has
            # such work, the rest would never have its turn.
            self._turn = (self._turn + 1) % _TURNS
            return (self._read(self._pins) if self._turn else []) or self._wait_and_read()

    def commit(self, commit: Commit) -> Pressure:
        keys, wrap = self._keys, self._envelope.wrap
        arguments: list[Any] = [self._consumer, self._rank, len(commit.leases)]
        for lease in commit.leases:
            arguments += [*lease.token, lease.task.pe]
        arguments.append(len(commit.tasks))
        for task in commit.tasks:
            stream = keys.stream_of(task)
            sealed = wrap(task, stream)
            arguments += [stream, task.pe, sealed]
            self._task_size[task.pe, task.instance] = len(sealed)
        if commit.results or commit.failures:
            sealed = wrap(Results(commit.results, commit.failures), keys.out)
            arguments += [1, sealed]
            self._results_size = len(sealed)
        else:
            arguments.append(0)
        arguments.append(len(commit.counters))
        for pe, calls, seconds in commit.counters:
            arguments += [pe, calls, int(seconds * 1e6)]
        arguments += [len(commit.replicas), *commit.replicas]
        with service_errors(self._address):
            hungry, results, *lengths = self._commit(keys=[keys.prefix], args=arguments)
        full = {
            (task.pe, task.instance)
            for task, length in zip(commit.tasks, lengths, strict=True)
            if task.kind == ITEMS
            and task.instance >= 0
            and length > self._most_tasks((task.pe, task.instance))
        }
        return Pressure(hungry, tuple(full), results > self._most_results())

    def pressure(self, watched: Sequence[Pin] = ()) -> Pressure:
        with service_errors(self._address), self._redis.pipeline(transaction=False) as pipe:
            pipe.scard(self._keys.named("hungry"))
            pipe.xlen(self._keys.out)
            for pin in watched:
                pipe.xlen(self._keys.pin(*pin))
            hungry, results, *lengths = pipe.execute()
        # Half the limit, so that a paused sender does not start and stop at every task.
        full = [
            pin
            for pin, length in zip(watched, lengths, strict=True)
            if length > self._most_tasks(pin) // 2
        ]
        return Pressure(hungry, tuple(full), results > self._most_results() // 2)

    def log(self, pe_id: str, rank: int, message: str) -> None:
        self._tell(LogLine(pe_id, rank, message))

    def close(self) -> None:
        self._redis.close()

    def delete(self) -> None:
        """Delete all keys of the run: for a worker whose driver is gone."""
        if self._address.embedded:
            self._redis.shutdown(nosave=True)
        else:
            self._redis.unlink(*self._keys.all())

    def _most_tasks(self, pin: Pin) -> int:
        return at_most(MOST_WAITING, self._task_size.get(pin, 0), _MOST_BYTES)

    def _most_results(self) -> int:
        return at_most(MOST_RESULTS, self._results_size, _MOST_BYTES)

    def _read(self, streams: dict[Any, Any]) -> list[Lease]:
        if not streams:
            return []
        each = max(1, _READ_COUNT // len(streams))
        count = at_most(each, len(streams) * self._entry_size, READ_BYTES)
        return self._leases(self._redis.xreadgroup(GROUP, self._consumer, streams, count=count))

    def _wait_and_read(self) -> list[Lease]:
        hungry = self._keys.named("hungry")
        with self._redis.pipeline(transaction=False) as pipe:
            pipe.xreadgroup(GROUP, self._consumer, self._everything, count=1)
            (reply,) = pipe.execute()
            if not reply:
                pipe.sadd(hungry, self._rank)
                pipe.xreadgroup(
                    GROUP, self._consumer, self._everything, count=1, block=_BLOCK_MILLISECONDS
                )
                pipe.srem(hungry, self._rank)
                _, reply, _ = pipe.execute()
        return self._leases(reply)

    def _leases(self, reply: Any) -> list[Lease]:
        leases: list[Lease] = []
        for name, entries in entries_by_stream(reply):
            stream = name.decode()
            for entry_id, fields in entries:
                try:
                    task: Task = self._envelope.unwrap(fields, stream)
                except ForeignBytesError as error:
                    self._redis.xack(stream, GROUP, entry_id)
                    self._redis.xdel(stream, entry_id)
                    self._tell(Note(f"dropped {error}"))
                else:
                    leases.append(Lease(task, (stream, entry_id)))
                    self._entry_size = len(fields[FIELD])
        return leases

    def _tell(self, event: Any) -> None:
        out = self._keys.out
        with service_errors(self._address):
            try:
                sealed = self._envelope.wrap(event, out)
            except ItemError:
                sealed = self._envelope.wrap(Note(repr(event)), out)
            # After the run there is no stream, and a late word must not make one.
            self._redis.xadd(out, {FIELD: sealed}, nomkstream=True)


def at_most(count: int, size: int, most_bytes: int) -> int:
    """How many entries of some size there may be at once: `count`, or fewer if they are large."""
    return max(1, min(count, most_bytes // max(1, size)))


def entries_by_stream(reply: Any) -> list[tuple[bytes, list[tuple[bytes, dict[bytes, bytes]]]]]:
    """A reply of XREADGROUP or XREAD as (stream, entries), for either protocol version."""
    if isinstance(reply, dict):  # RESP3: stream -> [entries]
        return [(name, entries[0]) for name, entries in reply.items() if entries]
    return [(name, entries) for name, entries in reply or ()]
