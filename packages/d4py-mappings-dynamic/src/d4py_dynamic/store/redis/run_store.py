"""`RunStore` on Redis: the driver's side, which makes the run's keys and deletes them again."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any

import redis

from d4py_dynamic.store.entries import TooLargeError, split_task
from d4py_dynamic.store.limits import StoreLimits
from d4py_dynamic.store.protocols import (
    DriverState,
    Event,
    InputOffset,
    Load,
    OrphanedReplica,
)
from d4py_dynamic.store.redis.audit import Audit
from d4py_dynamic.store.redis.connections.address import Address
from d4py_dynamic.store.redis.connections.client import broken_connections, connect
from d4py_dynamic.store.redis.connections.errors import service_errors
from d4py_dynamic.store.redis.connections.retry import BreakLimit
from d4py_dynamic.store.redis.envelope import Envelope, room_for
from d4py_dynamic.store.redis.event_reader import EventReader
from d4py_dynamic.store.redis.heartbeats import Heartbeats
from d4py_dynamic.store.redis.keys import GROUP, INTACT, JOINED, RUNS, RunKeys, pin_name
from d4py_dynamic.store.redis.queue_room import QueueRoom
from d4py_dynamic.store.redis.run_events import delete_run, send_event
from d4py_dynamic.store.redis.run_info import announce, driver_info, offer
from d4py_dynamic.store.redis.scripts import IdempotentScripts, ScriptRequest
from d4py_dynamic.store.serialization import remaining
from d4py_dynamic.store.task_pickles import TaskCodec
from d4py_dynamic.store.tasks import Eviction, InstanceId, Lease, ResumePoint, Task, is_counted
from dispel4py.engine.items.codec import ForeignBytesError
from dispel4py.engine.planning.plan import Plan
from dispel4py.errors import InputError, OptionError
from dispel4py.result import InstanceStats

#: Seconds that a server, which may have failed the run by not answering, has to delete its keys,
#: and that a connection which breaks meanwhile may take to be made again.
_DELETE_SECONDS, _DELETE_AGAIN_SECONDS = 1.0, 0.25
#: Seconds beyond `--reconnect` after which a worker without a heartbeat is late.
_LATE_SECONDS = 3.0


class RedisRunStore:
    """See `RunStore`.

    Args:
        address: the server.
        keys: the run's keys.
        secret: the run's secret.
        plan: the plan; None for a client that only sends control messages.
        driver_id: id of the driver, unique among all drivers of the run; empty for a client that
            only sends control messages.
        archives: whether results stay on the server to the end of the run, for the next driver.
        limits: how much to read at once.
        codec: unpickles what workers have put there.
    """

    def __init__(
        self,
        address: Address,
        keys: RunKeys,
        secret: bytes,
        plan: Plan | None = None,
        driver_id: str = "",
        archives: bool = False,
        limits: StoreLimits = StoreLimits(),
        codec: TaskCodec | None = None,
    ) -> None:
        self._address = address
        self._largest = room_for(address.largest)
        self._keys = keys
        self._secret = secret
        self._envelope = Envelope(secret)
        self._codec = codec or TaskCodec()
        self._pes = () if plan is None else plan.pes
        self._driver_id = driver_id
        self._redis = connect(address, key=keys.prefix)
        caller = f"driver-{secrets.token_hex(8)}"
        self._scripts = IdempotentScripts(self._redis, keys.prefix, caller)
        self._heartbeats = Heartbeats(
            self._redis, keys, driver_id, address.reconnect_seconds + _LATE_SECONDS
        )
        self._callers = [self._scripts]
        self._broken = 0
        wait = address.block_seconds
        self._room = QueueRoom(self._redis, keys, wait)
        self._events = EventReader(
            self._redis, keys, self._envelope, driver_id, archives, limits, wait
        )
        self._audit = Audit(self._redis, keys, address, self._events, driver_id)

    def create(self, mapping: str) -> None:
        """Make the run's keys."""
        keys = self._keys
        with service_errors(self._address), self._redis.pipeline(transaction=True) as pipe:
            self._heartbeats.exchange()  # where there are no scripts, no keys are made
            pipe.delete(*keys.all(0))  # of an attempt that broke in the middle
            for stream in [*keys.streams(0), keys.out]:
                pipe.xgroup_create(stream, GROUP, id="0", mkstream=True)
            counts: dict[Any, Any] = {str(pe.index): 0 for pe in self._pes}
            counts |= {"results": 0, "replicas": 0, JOINED: 0, INTACT: 1}
            pipe.hset(keys.named("unfinished"), mapping=counts)
            pipe.hset(keys.named("answers"), INTACT, 1)
            pipe.execute()
            announce(self._redis, keys, mapping, self._driver_id)
            self._list_run()
            self._heartbeats.exchange()

    def _list_run(self) -> None:
        """Add the run to the list of runs, which in a Redis Cluster another node may have."""
        if not self._address.nodes:
            self._redis.sadd(RUNS, self._keys.run_id)
            return
        with connect(self._address) as directory:
            directory.sadd(RUNS, self._keys.run_id)

    def offer(self, spec: object, lease: float) -> None:
        """Let workers that know the run's key join it; see `run_info.offer`."""
        with service_errors(self._address):
            offer(self._redis, self._keys, self._secret, spec, lease, self._address.largest)

    def send_event(self, event: Event) -> None:
        """Send an event to the driver from another process."""
        with service_errors(self._address):
            send_event(self._scripts, self._keys, self._envelope, event)

    def send_heartbeats(self, ranks: Iterable[int]) -> None:
        """Send the heartbeats of workers whose processes run on this host."""
        with service_errors(self._address):
            self._heartbeats.send(ranks)

    def join(self) -> int:
        request = ScriptRequest(driver_id=self._driver_id)
        with service_errors(self._address):
            return int(self._scripts("join", request))

    def put(self, tasks: Iterable[Task], rank: int | None = None) -> None:
        request = self._put_request([(task, rank) for task in tasks])
        with service_errors(self._address):
            self._scripts("put", request)

    def feed(self, tasks: Iterable[Task], offset: InputOffset, limit: int) -> bool:
        request = self._put_request([(task, None) for task in tasks])
        request.set("offsets", [(offset.root, offset.calls, offset.ended)])
        with service_errors(self._address):
            return self._room.is_full_after(self._scripts, request, offset.root, limit)

    def wait_for_room(self, root: int, seconds: float) -> bool:
        with service_errors(self._address):
            return self._room.wait(seconds)

    def finish(
        self,
        pe: int,
        tasks: Iterable[tuple[Task, int | None]],
        orphans: Iterable[OrphanedReplica] = (),
    ) -> None:
        request = self._put_request(tasks)
        request.set("finishing", [pe])
        request.set("orphans", [orphan.token.decode() for orphan in orphans])
        with service_errors(self._address):
            self._scripts("put", request)

    def _put_request(self, tasks: Iterable[tuple[Task, int | None]]) -> ScriptRequest:
        keys = self._keys
        rows = []
        for task, rank in tasks:
            stream = keys.stream_of(task) if rank is None else keys.inbox(rank)
            counted = task.pe if is_counted(task) else ""
            rows += [(stream, counted, data) for data in self._split(task, stream)]
        request = ScriptRequest(driver_id=self._driver_id)
        request.add("tasks", rows)
        return request

    def _split(self, task: Task, stream: str) -> Iterator[bytes]:
        # Inputs wait in any number, so they are not put into shared memory.
        try:
            for _, pickled in split_task(task, TaskCodec().pickle, self._largest):
                yield self._envelope.seal(pickled.data, stream)
        except TooLargeError as error:
            raise InputError(f"an input of {self._pes[task.pe].id}: {error}") from error

    def evict(
        self, rank: int, pins: Iterable[InstanceId], *, count_delivery: bool = True
    ) -> Eviction:
        pins = [*pins]
        request = ScriptRequest(
            driver_id=self._driver_id,
            rank=rank,
            pins=[(pin_name(pin), self._keys.pin(*pin)) for pin in pins],
            count_delivery=count_delivery,
        )
        with service_errors(self._address):
            tasks, replicas, delivery_counts, attempt = self._scripts("evict_worker", request)
        at_work = [(pin, n) for pin, n in zip(pins, delivery_counts, strict=False) if n]
        return Eviction([*self._returned(tasks)], sorted(replicas), at_work, attempt == b"0")

    def _returned(self, entries: Iterable[tuple[bytes, int, bytes]]) -> Iterator[Lease]:
        for sealed, delivery_count, position in entries:
            with suppress(ForeignBytesError):  # the worker that takes it next drops it
                task = self._codec.unpack(self._envelope.unseal(sealed, self._keys.shared))
                at = ResumePoint()
                if position:
                    at = self._envelope.open(position, self._keys.named("positions"))
                yield Lease(remaining(task, at), None, at, delivery_count)

    def seconds_since_heartbeat(self) -> dict[int, float]:
        with service_errors(self._address):
            return self._heartbeats.exchange()

    def load(self) -> Load:
        keys = self._keys
        with service_errors(self._address), self._redis.pipeline(transaction=True) as pipe:
            pipe.xlen(keys.shared)
            pipe.xpending(keys.shared, GROUP)
            pipe.smembers(keys.named("idle"))
            pipe.smembers(keys.named("paused"))
            length, pending, idle, paused = pipe.execute()
        waiting = max(0, length - pending["pending"])
        return Load(waiting, frozenset(map(int, idle)), frozenset(map(int, paused)))

    def queue_length(self, pe: int, instance: int) -> int:
        with service_errors(self._address):
            return int(self._redis.xlen(self._keys.pin(pe, instance)))

    def events(self, seconds: float) -> list[Event]:
        with service_errors(self._address):
            self._verify_calls()
            return self._events.read(seconds)

    def also_verify(self, other: RedisRunStore) -> None:
        """Verify the calls of another store of this driver too, also when it is closed.

        After each broken connection the server is asked whether it has the driver's calls: it may
        have been replaced by one that lacks some.
        """
        self._callers.append(other._scripts)

    def _verify_calls(self) -> None:
        broken = broken_connections(self._redis)
        if broken != self._broken:
            for caller in self._callers:
                caller.verify()
            self._broken = broken

    def make_resumable(self, resumption: Any) -> None:
        """Let another driver resume the run if this one dies; it gets `resumption`."""
        request = ScriptRequest(driver_id=self._driver_id)
        sealed = self._envelope.wrap(resumption, self._keys.named("resumption"))
        request.set("resumption", request.value(sealed))
        with service_errors(self._address):
            self._scripts("make_resumable", request)

    def make_watchable(self) -> None:
        """Note that the events of the run are kept; see `EventPublisher`."""
        with service_errors(self._address):
            self._redis.hset(self._keys.named("info"), "watchable", 1)

    def take_over(self, last_heartbeat: int) -> DriverState:
        """Become the driver of the run; `events` begins with the results that were archived.

        Args:
            last_heartbeat: the last heartbeat of the dead driver, as the server has it.

        Raises:
            OptionError: that driver is not dead, or another one has taken over.
        """
        keys = self._keys
        with service_errors(self._address):
            request = ScriptRequest(
                driver_id=self._driver_id, last_heartbeat=last_heartbeat, **driver_info()
            )
            taken = self._scripts("take_over", request)
            if taken == 0:
                raise OptionError(f"run {keys.run_id} has a driver that is alive")
            finishing: Any = self._redis.smembers(keys.named("finishing"))
            offsets: Any = self._redis.hgetall(keys.named("offsets"))
            members: Any = self._redis.hkeys(keys.named("members"))
        self._events.read_archive_first()
        return DriverState(
            frozenset(map(int, finishing)),
            {
                int(pe): InputOffset(int(pe), int(n.rstrip(b".")), n.endswith(b"."))
                for pe, n in offsets.items()
            },
            tuple(sorted(int(rank) for rank in members if rank.isdigit())),
        )

    def unfinished(self, watched: Iterable[int]) -> dict[int, int]:
        with service_errors(self._address):
            return self._audit.counts(watched).unfinished

    def missing_results(self) -> int:
        breaks = BreakLimit(self._address.reconnect_seconds)
        with service_errors(self._address):
            while True:
                self._verify_calls()
                self._events.confirm()
                missing = self._audit.counts(()).missing_results
                if broken_connections(self._redis) == self._broken:
                    return missing
                breaks.note_break()

    def replicas(self, pe: int) -> list[int]:
        with service_errors(self._address):
            members: Any = self._redis.smembers(self._keys.named("replicas"))
        pairs = [member.decode().split("/") for member in members]
        return sorted(int(rank) for number, rank in pairs if int(number) == pe)

    def orphans(self, pe: int) -> list[OrphanedReplica]:
        name = self._keys.named("orphans")
        with service_errors(self._address):
            found: Any = self._redis.hgetall(name)
        return [
            OrphanedReplica(key, self._envelope.unseal(sealed, name))
            for key, sealed in found.items()
            if key.split(b"/")[0] == b"%d" % pe
        ]

    def stats(self) -> list[InstanceStats]:
        with service_errors(self._address):
            calls: Any = self._redis.hgetall(self._keys.named("calls"))
            busy: Any = self._redis.hgetall(self._keys.named("busy"))
        entries = []
        for member, count in calls.items():
            pe, rank = map(int, member.decode().split("/"))
            seconds = int(busy.get(member, 0)) / 1e6
            entries.append((pe, rank, int(count), seconds))
        return [
            InstanceStats(self._pes[pe].id, rank, count, seconds)
            for pe, rank, count, seconds in sorted(entries)
        ]

    def close(self) -> None:
        """Close the connection; the run stays on the server."""
        self._redis.close()

    def delete(self) -> None:
        """See `RunStore`; ignore a server that is gone, and its keys with it."""
        self._redis.close()
        if not self._address.embedded:
            address = self._address._replace(reconnect_seconds=_DELETE_AGAIN_SECONDS)
            place = self._keys.prefix
            with suppress(redis.RedisError), connect(address, _DELETE_SECONDS, place) as client:
                delete_run(client, address, self._keys)
