"""A worker's reading of tasks from streams, and of entries that were lost on their way to it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from math import inf
from time import monotonic, sleep
from typing import Any

import redis

from d4py_dynamic.store.limits import StoreLimits
from d4py_dynamic.store.protocols import Notice
from d4py_dynamic.store.redis.connections.blocking_command import BlockingCommand, Command
from d4py_dynamic.store.redis.connections.client import broken_connections
from d4py_dynamic.store.redis.envelope import Envelope
from d4py_dynamic.store.redis.keys import (
    DELIVERY_COUNT,
    FIELD,
    GROUP,
    POSITION,
    RunKeys,
    consumer,
)
from d4py_dynamic.store.redis.scripts import register_script
from d4py_dynamic.store.redis.streams import at_most, entries_by_stream, expected_size
from d4py_dynamic.store.serialization import remaining
from d4py_dynamic.store.task_pickles import TaskCodec
from d4py_dynamic.store.tasks import Lease, ResumePoint, is_counted
from dispel4py.engine.items.codec import ForeignBytesError


class TaskReader:
    """Reads a worker's tasks, and remembers which of them are leased.

    Args:
        client: the worker's client.
        keys: the run's keys.
        envelope: opens what is sealed.
        codec: unpickles tasks.
        rank: number of the worker.
        send_event: sends an event to the driver.
        verify_calls: checks that the server has the calls of this worker that it has answered.
        limits: how much to read at once.

    Attributes:
        load: see `common.lua`, as of the last read.
        expects_more: whether more tasks are known to wait for the worker's instances.
    """

    def __init__(
        self,
        client: redis.Redis,
        keys: RunKeys,
        envelope: Envelope,
        codec: TaskCodec,
        rank: int,
        send_event: Callable[[Any], None],
        verify_calls: Callable[[], None],
        limits: StoreLimits,
    ) -> None:
        self._redis = client
        self._keys = keys
        self._envelope = envelope
        self._codec = codec
        self._rank = rank
        self._consumer = consumer(rank)
        self._send_event = send_event
        self._verify_calls = verify_calls
        self._limits = limits
        self._count_as_idle = register_script(client, "idle")
        self._took = register_script(client, "took")
        self._blocking = BlockingCommand(client)
        self.load = [0, 0, 0, 0]
        self.expects_more = False
        self._inbox: dict[Any, Any] = {keys.inbox(rank): ">"}
        self._pins: dict[Any, Any] = {}
        self._turn = 0
        self._counts_as_idle = True  # though it does not wait
        self._entry_size = 0
        self._leased: set[tuple[str, bytes]] = set()
        self._broken = 0
        self._reread_until: float | None = None

    def add_instance(self, stream: str) -> None:
        """Read the stream of a pinned instance from now on."""
        self._pins[stream] = ">"

    def read_only(self, streams: Iterable[str]) -> list[Lease]:
        """Read tasks of these streams and of the inbox, without waiting."""
        chosen = {**self._inbox, **dict.fromkeys(streams, ">")}
        return self.leases(self._with_lost_entries(self._read(chosen)))

    def read(self, seconds: float, *, shared: bool, pinned: bool) -> list[Lease]:
        """Read tasks; see `TaskStore.take`."""
        # What only this worker can do comes first, but not each time: while it always has such
        # work, the rest would never have its turn.
        self._turn = (self._turn + 1) % self._limits.turns
        pins = self._pins if pinned else {}
        found: Any = []
        if pinned and self._turn and self.expects_more:
            found = self._with_lost_entries(self._read_several({**self._inbox, **pins}))
        if not found:
            found = self._with_lost_entries(self._wait_and_read(pins, seconds, shared))
        leases = self.leases(found)
        if leases:  # control messages are handled in no time
            self.set_idle(not any(is_counted(lease.task) for lease in leases))
        return leases

    def leases(self, streams: Any) -> list[Lease]:
        """Return leases of entries; drop entries that were not written by this run."""
        leases: list[Lease] = []
        for name, entries in entries_by_stream(streams):
            stream = name.decode()
            for entry_id, fields in entries:
                try:
                    lease = self._lease(stream, entry_id, fields)
                except ForeignBytesError as error:
                    self._redis.xack(stream, GROUP, entry_id)
                    self._redis.xdel(stream, entry_id)
                    self._send_event(Notice(f"dropped {error}"))
                else:
                    leases.append(lease)
                    self._leased.add((stream, entry_id))
                    size = len(fields[FIELD]) + self._codec.shared_bytes((stream, entry_id))
                    self._entry_size = expected_size(self._entry_size, size)
        return leases

    def forget(self, leases: Iterable[Lease]) -> None:
        """Forget leases that have ended."""
        ended = [lease.token[:2] for lease in leases]
        self._leased.difference_update(ended)
        self._codec.end(ended)

    def set_idle(self, is_idle: bool) -> None:
        """Count this worker as idle although it does not wait, or no longer."""
        if is_idle != self._counts_as_idle:
            self._count_as_idle(keys=[self._keys.prefix], args=[self._rank, int(is_idle)])
            self._counts_as_idle = is_idle

    def _lease(self, stream: str, entry_id: bytes, fields: dict[bytes, bytes]) -> Lease:
        data = self._envelope.unseal_entry(fields, stream)
        task = self._codec.unpack(data, (stream, entry_id))
        position = ResumePoint()
        if fields.get(POSITION):
            position = self._envelope.open(fields[POSITION], self._keys.named("positions"))
        token = stream, entry_id, task.pe if is_counted(task) else ""
        delivery_count = int(fields.get(DELIVERY_COUNT, 0))
        return Lease(remaining(task, position), token, position, delivery_count)

    def _read(self, streams: dict[Any, Any]) -> Any:
        return self._redis.xreadgroup(
            GROUP, self._consumer, streams, count=self._count(len(streams))
        )

    def _count(self, streams: int) -> int:
        """Return how many entries to read at once of each of some streams."""
        each = max(1, self._limits.read_count // streams)
        return at_most(each, streams * self._entry_size, self._limits.read_bytes)

    def _read_several(self, streams: dict[Any, Any]) -> Any:
        """Read some tasks of each stream, without waiting."""
        count = self._count(len(streams))
        found = self._exchange([self._xreadgroup(streams, count)], 0.0)
        self.expects_more = any(len(entries) == count for _, entries in entries_by_stream(found))
        return found

    def _wait_and_read(self, pins: dict[Any, Any], seconds: float, shared: bool) -> Any:
        """Read one task of each stream; wait if there is none."""
        streams = {**pins, **self._inbox}
        if shared:
            streams[self._keys.shared] = ">"
        if seconds < self._limits.shortest_block:
            found = self._exchange([self._xreadgroup(streams, 1)], 0.0)
            if not found:
                sleep(seconds)
            return found
        # While it waits it counts as idle, or as paused.  Where the run is over the read fails, and
        # what was added is removed at once.
        commands: list[Command] = [("SADD", self._keys.named("idle"), self._rank)]
        if not shared:
            commands = [
                ("SREM", self._keys.named("idle"), self._rank),
                ("SADD", self._keys.named("paused"), self._rank),
            ]
        if self._reread_until is not None:
            seconds = min(seconds, self._limits.reread_pause)
        return self._exchange([*commands, self._xreadgroup(streams, 1, seconds)], seconds)

    def _xreadgroup(
        self, streams: dict[Any, Any], count: int, seconds: float | None = None
    ) -> Command:
        block = () if seconds is None else ("BLOCK", int(seconds * 1000))
        names = [*streams, *streams.values()]
        group = ("GROUP", GROUP, self._consumer)
        return ("XREADGROUP", *group, "COUNT", count, *block, "STREAMS", *names)

    def _exchange(self, commands: list[Command], seconds: float) -> Any:
        """Send commands that end with a read, and one that asks for the load; return what is read.

        Nothing if the connection has broken.
        """
        took = self._took
        load: Command = ("EVALSHA", took.sha, 1, self._keys.prefix, self._rank)
        self._blocking.send([*commands, load], seconds, in_front=len(commands) - 1)
        self._blocking.wait(inf)  # until the answer has come, or should have
        replies = self._blocking.replies()
        if replies is None:
            return None
        *first, found, shown = replies
        if isinstance(shown, redis.exceptions.NoScriptError):
            shown = took(keys=[self._keys.prefix], args=[self._rank])
        for reply in (*first, found, shown):
            if isinstance(reply, redis.RedisError):
                raise reply
        self.load = shown
        self._counts_as_idle = False
        return found

    def _with_lost_entries(self, reply: Any) -> Any:
        """Return a reply with all entries that were given to this worker and lost on their way.

        They are looked for when a connection has broken, and at each read for some time after that:
        the read of that connection may still wait on the server, and takes what comes first.
        """
        count, now = broken_connections(self._redis), monotonic()
        if count != self._broken:
            self._broken, self._reread_until = count, now + self._limits.reread_seconds
            self._verify_calls()
        elif self._reread_until is None:
            return reply
        elif now >= self._reread_until:
            self._reread_until = None
        return self._lost_entries()

    def _lost_entries(self) -> Any:
        """Return all entries that this worker has read, not acknowledged, and not leased."""
        streams = [*self._inbox, *self._pins, self._keys.shared]
        reply = self._redis.xreadgroup(GROUP, self._consumer, dict.fromkeys(streams, "0"))
        return [
            (name, [e for e in entries if e[1] and (name.decode(), e[0]) not in self._leased])
            for name, entries in entries_by_stream(reply)
        ]
