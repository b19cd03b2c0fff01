"""`TaskStore` on Redis streams: a worker's side.

Shared tasks lie in one stream that all workers read as one consumer group, so an entry that was
read and not acknowledged is a lease.  Every pinned instance has a stream of its own that only its
owner reads, every worker an inbox.  A commit is one Lua script, which refuses a worker that was
given up.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from time import monotonic
from typing import Any

import redis

from d4py_dynamic.store.entries import check_size, cut_results, cut_task
from d4py_dynamic.store.protocols import TAKE_SECONDS, LogLine, Notice, Results, UndeclaredState
from d4py_dynamic.store.redis.address import Address
from d4py_dynamic.store.redis.client import IdempotentScripts, broken, connect, load_script
from d4py_dynamic.store.redis.envelope import Envelope, room_for
from d4py_dynamic.store.redis.errors import service_errors
from d4py_dynamic.store.redis.keys import (
    DELIVERY_COUNT,
    FIELD,
    GROUP,
    JOINED,
    POSITION,
    RUNS,
    RunKeys,
    consumer,
    delivery_name,
    pin_name,
)
from d4py_dynamic.store.serialization import remaining
from d4py_dynamic.store.tasks import (
    ITEMS,
    MOST_BYTES,
    MOST_RESULTS,
    MOST_WAITING,
    TURNS,
    AdoptedInstance,
    Commit,
    InstanceId,
    Lease,
    ResumePoint,
    StoreStatus,
    Task,
    counts,
    is_replica_end,
)
from dispel4py.engine.codec import ForeignBytesError
from dispel4py.errors import ItemError

#: How many entries to read from pinned streams at once, and about how many bytes of any.
_READ_COUNT, READ_BYTES = 16, 4 << 20
#: With each entry, so much (one part in so many) of the size of a larger one is forgotten.
_FORGOTTEN = 8


class RedisTaskStore:
    """See `TaskStore`.

    Args:
        address: the server.
        keys: the run's keys.
        secret: the run's secret.
        rank: number of this worker.
    """

    def __init__(self, address: Address, keys: RunKeys, secret: bytes, rank: int) -> None:
        self._address = address
        self.largest = room_for(address.largest)
        self._keys = keys
        self._envelope = Envelope(secret)
        self._rank = rank
        self._consumer = consumer(rank)
        self._inbox: dict[Any, Any] = {keys.inbox(rank): ">"}
        self._pins: dict[Any, Any] = {}
        self._turn = 0
        self._is_free = True  # counted among idle workers, though it does not wait
        self._task_size: dict[InstanceId, int] = {}
        self._results_size = self._entry_size = 0
        self._redis = connect(address)
        self._once = IdempotentScripts(self._redis, keys.prefix, str(rank))
        self._tell = IdempotentScripts(
            self._redis, keys.prefix, f"{rank}-events"
        )  # threads tell as well
        self._adopt = self._redis.register_script(load_script("adopt"))
        self._idle = self._redis.register_script(load_script("idle"))
        self._outstanding: set[Any] = set()
        self._broken = 0
        self._look_again_at = float("inf")

    def take(
        self,
        only: Sequence[InstanceId] | None = None,
        seconds: float = TAKE_SECONDS,
        *,
        shared: bool = True,
        pinned: bool = True,
    ) -> list[Lease]:
        with service_errors(self._address):
            if only is not None:
                streams = {**self._inbox, **{self._keys.pin(*pin): ">" for pin in only}}
                return self._leases(self._safely(self._read(streams)))
            # What only this worker can do comes first, but not each time: while it always has
            # such work, the rest would never have its turn.
            self._turn = (self._turn + 1) % TURNS
            pins = self._pins if pinned else {}
            found = (
                self._safely(self._read({**self._inbox, **pins})) if pinned and self._turn else []
            )
            found = found or self._safely(self._wait_and_read(pins, seconds, shared))
            leases = self._leases(found)
            if leases:  # control messages are handled in no time
                self._set_free(not any(counts(lease.task) for lease in leases))
            return leases

    def adopt(self, pin: InstanceId) -> AdoptedInstance:
        stream = self._keys.pin(*pin)
        with service_errors(self._address):
            state, position, delivery_count, entries = self._adopt(
                keys=[self._keys.prefix],
                args=[self._consumer, self._rank, pin_name(pin), stream],
            )
            if entries:
                self._set_free(False)
        self._pins[stream] = ">"
        opened, kept = self._envelope.unseal, self._keys.named
        return AdoptedInstance(
            None if state is None else opened(state, kept("states")),
            ResumePoint() if position is None else self._envelope.open(position, kept("positions")),
            self._leases([(stream.encode(), [(i, _fields(flat)) for i, flat in entries])]),
            int(delivery_count),
        )

    def commit(self, commit: Commit) -> StoreStatus:
        keys, wrap = self._keys, self._envelope.wrap
        arguments: list[Any] = [self._consumer, self._rank, "", 0]
        if commit.attempt is not None:
            delivery, in_call = commit.attempt
            arguments[2:] = delivery_name(delivery), int(in_call)

        def add(rows: Iterable[Sequence[Any]]) -> None:
            rows = [*rows]
            arguments.append(len(rows))
            for row in rows:
                arguments.extend(row)

        sealed = [pair for task in commit.tasks for pair in self._cut(task)]
        results: list[bytes] = []
        if commit.results or commit.failures:
            produced = Results(commit.results, commit.failures)
            results += cut_results(produced, lambda part: wrap(part, keys.out), self.largest)
            self._results_size = _lately(self._results_size, max(map(len, results)))
        add(lease.token for lease in commit.leases)
        add((keys.stream_of(task), task.pe, data) for task, data in sealed)
        add((result,) for result in results)
        add((pe, calls, int(seconds * 1e6)) for pe, calls, seconds in commit.counters)
        add((pe,) for pe in commit.replicas)
        add((lease.task.pe,) for lease in commit.leases if is_replica_end(lease.task))
        add(
            (pin_name(pin), self._envelope.seal(state, keys.named("states")))
            for pin, state in commit.states
            if state is not None
        )
        add(
            (pin_name(pin), wrap(at, keys.named("positions")))
            for pin, at in commit.instance_positions
        )
        add(
            (*lease.token[:2], wrap(at, keys.named("positions")))
            for lease, at in commit.lease_positions
        )
        add((delivery_name(delivery),) for delivery in commit.progressed)
        for _, left in commit.orphans:
            check_size(len(left), self.largest)
        add((pe, self._envelope.seal(left, keys.named("orphans"))) for pe, left in commit.orphans)
        with service_errors(self._address):
            idle, backlog, waiting, messages, *lengths = self._once("commit", *arguments)
        self._outstanding.difference_update(lease.token[:2] for lease in commit.leases)
        full = set()
        for (task, data), length in zip(sealed, lengths, strict=True):
            pin = task.pe, task.instance
            self._task_size[pin] = _lately(self._task_size.get(pin, 0), len(data))
            if task.kind == ITEMS and task.instance >= 0 and length > self._most_tasks(pin):
                full.add(pin)
        is_full = waiting > self._most_results()
        return StoreStatus(idle, tuple(full), is_full, messages > 0, backlog)

    def _cut(self, task: Task) -> Iterator[tuple[Task, bytes]]:
        stream = self._keys.stream_of(task)
        return cut_task(task, lambda part: self._envelope.wrap(part, stream), self.largest)

    def status(self, watched: Sequence[InstanceId] = ()) -> StoreStatus:
        with service_errors(self._address), self._redis.pipeline(transaction=False) as pipe:
            pipe.scard(self._keys.named("idle"))
            pipe.scard(self._keys.named("paused"))
            pipe.xlen(self._keys.shared)
            pipe.xlen(self._keys.out)
            pipe.xlen(self._keys.inbox(self._rank))
            for pin in watched:
                pipe.xlen(self._keys.pin(*pin))
            pipe.xpending(self._keys.shared, GROUP)
            idle, paused, shared, results, messages, *lengths, taken = pipe.execute()
        backlog = max(0, shared - taken["pending"])
        # Half the limit, so that a paused sender does not start and stop at every task.
        full = [
            pin
            for pin, length in zip(watched, lengths, strict=True)
            if length > self._most_tasks(pin) // 2
        ]
        is_full = results > self._most_results() // 2
        idle = max(0, idle + paused - backlog)
        return StoreStatus(idle, tuple(full), is_full, messages > 0, backlog)

    def positions(self, pins: Sequence[InstanceId]) -> list[ResumePoint]:
        place = self._keys.named("positions")
        with service_errors(self._address):
            found: Any = self._redis.hmget(place, [pin_name(pin) for pin in pins])
        return [ResumePoint() if at is None else self._envelope.open(at, place) for at in found]

    def log(self, pe_id: str, rank: int, message: str) -> None:
        self.send_event(LogLine(pe_id, rank, message))

    def report_undeclared_state(self, found: UndeclaredState) -> None:
        self.send_event(found)

    def close(self) -> None:
        self._redis.close()

    def delete(self) -> None:
        """Delete all keys of the run: for a worker whose driver is gone, and none will follow."""
        if self._address.embedded:
            with connect(replace(self._address, patience=0.0)) as client:
                client.shutdown(nosave=True)
        elif self._redis.hget(self._keys.named("info"), "resumable") != b"1":
            delete_run(self._redis, self._keys)

    def _most_tasks(self, pin: InstanceId) -> int:
        return at_most(MOST_WAITING, self._task_size.get(pin, 0), MOST_BYTES)

    def _most_results(self) -> int:
        return at_most(MOST_RESULTS, self._results_size, MOST_BYTES)

    def _read(self, streams: dict[Any, Any]) -> Any:
        each = max(1, _READ_COUNT // len(streams))
        count = at_most(each, len(streams) * self._entry_size, READ_BYTES)
        return self._redis.xreadgroup(GROUP, self._consumer, streams, count=count)

    def _wait_and_read(self, pins: dict[Any, Any], seconds: float, shared: bool) -> Any:
        """One task of each stream; waits if there is none."""
        streams = {**pins, **self._inbox}
        if shared:
            streams[self._keys.shared] = ">"
        reply = self._redis.xreadgroup(GROUP, self._consumer, streams, count=1)
        milliseconds = int(seconds * 1000)
        if not reply and milliseconds > 0:
            waiting = self._keys.named("idle" if shared else "paused")
            if not shared:
                self._set_free(False)
            with self._redis.pipeline(transaction=False) as pipe:
                # Where the run is over the read fails, and what was added goes at once.
                pipe.sadd(waiting, self._rank)
                pipe.xreadgroup(GROUP, self._consumer, streams, count=1, block=milliseconds)
                pipe.srem(waiting, self._rank)
                _, reply, _ = pipe.execute()
            self._is_free = False
        return reply

    def _set_free(self, is_free: bool) -> None:
        if is_free != self._is_free:
            self._idle(keys=[self._keys.prefix], args=[self._rank, int(is_free)])
            self._is_free = is_free

    def _safely(self, reply: Any) -> Any:
        """A reply, with all before it that was given to this worker and was lost on its way.

        Once more a while later: a read may wait on the server when its connection has broken.
        """
        count, now = broken(self._redis), monotonic()
        if count == self._broken and now < self._look_again_at:
            return reply
        self._look_again_at = float("inf") if count == self._broken else now + 2 * TAKE_SECONDS
        self._broken = count
        found = []
        for stream in [*self._inbox, *self._pins, self._keys.shared]:
            last: Any = "0"
            while True:
                again = self._redis.xreadgroup(GROUP, self._consumer, {stream: last})
                entries = [entry for _, part in entries_by_stream(again) for entry in part]
                if not entries:
                    break
                last = entries[-1][0]
                new = [e for e in entries if e[1] and (stream, e[0]) not in self._outstanding]
                found.append((stream.encode(), new))
        return found

    def _leases(self, streams: Any) -> list[Lease]:
        leases: list[Lease] = []
        for name, entries in entries_by_stream(streams):
            stream = name.decode()
            for entry_id, fields in entries:
                try:
                    task: Task = self._envelope.unwrap(fields, stream)
                    position = ResumePoint()
                    if fields.get(POSITION):
                        place = self._keys.named("positions")
                        position = self._envelope.open(fields[POSITION], place)
                except ForeignBytesError as error:
                    self._redis.xack(stream, GROUP, entry_id)
                    self._redis.xdel(stream, entry_id)
                    self.send_event(Notice(f"dropped {error}"))
                else:
                    delivery_count = int(fields.get(DELIVERY_COUNT, 0))
                    token = stream, entry_id, task.pe if counts(task) else ""
                    leases.append(Lease(remaining(task, position), token, position, delivery_count))
                    self._outstanding.add((stream, entry_id))
                    self._entry_size = _lately(self._entry_size, len(fields[FIELD]))
        return leases

    def send_event(self, event: Any) -> None:
        """Send an event to the driver."""
        with service_errors(self._address):
            send_event(self._tell, self._keys, self._envelope, event)

    def is_run_there(self) -> bool:
        """The run is not over."""
        with service_errors(self._address):
            return bool(self._redis.exists(self._keys.named("unfinished")))


def send_event(once: IdempotentScripts, keys: RunKeys, envelope: Envelope, event: Any) -> None:
    """Send an event to the driver of a run."""
    try:
        sealed = envelope.wrap(event, keys.out)
    except ItemError:
        sealed = envelope.wrap(Notice(repr(event)), keys.out)
    once("send_event", sealed)


def delete_run(client: redis.Redis, keys: RunKeys) -> None:
    """Delete all keys of a run."""
    with client.pipeline(transaction=True) as pipe:
        pipe.hget(keys.named("unfinished"), JOINED)
        pipe.hkeys(keys.named("members"))  # somebody may have deleted the counts
        pipe.delete(keys.named("unfinished"))  # without it no script makes another key
        pipe.srem(RUNS, keys.run_id)
        joined, members, _, _ = pipe.execute()
    ranks = [int(rank) for rank in members if rank.isdigit()]
    client.unlink(*keys.all(max(int(joined or 0), *(rank + 1 for rank in ranks), 0)))


def _fields(flat: list[bytes]) -> dict[bytes, bytes]:
    return dict(zip(flat[::2], flat[1::2], strict=True))


def at_most(count: int, size: int, most_bytes: int) -> int:
    """How many entries of some size there may be at once: `count`, or fewer if they are large."""
    return max(1, min(count, most_bytes // max(1, size)))


def _lately(before: int, size: int) -> int:
    """Return the size to expect of entries: that of the largest one lately, where sizes vary."""
    return max(size, before - before // _FORGOTTEN)


def entries_by_stream(reply: Any) -> list[tuple[bytes, list[tuple[bytes, dict[bytes, bytes]]]]]:
    """A reply of XREADGROUP or XREAD as (stream, entries), for either protocol version."""
    if isinstance(reply, dict):  # RESP3: stream -> [entries]
        return [(name, entries[0]) for name, entries in reply.items() if entries]
    return [(name, entries) for name, entries in reply or ()]
