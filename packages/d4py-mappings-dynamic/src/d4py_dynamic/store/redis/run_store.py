"""`RunStore` on Redis: the driver's side, which makes the run's keys and deletes them again."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from itertools import chain
from typing import Any

import redis

from d4py_dynamic.store.entries import TooLargeError, cut_task
from d4py_dynamic.store.protocols import (
    DriverState,
    Event,
    InputOffset,
    Load,
    LogLine,
    Notice,
    OrphanedReplica,
    Quiescent,
    Results,
    UndeclaredState,
    WorkerExited,
    WorkerFailed,
    WorkerStopping,
)
from d4py_dynamic.store.redis.address import Address
from d4py_dynamic.store.redis.client import IdempotentScripts, connect, load_script
from d4py_dynamic.store.redis.envelope import Envelope, room_for
from d4py_dynamic.store.redis.errors import service_errors
from d4py_dynamic.store.redis.keys import (
    FIELD,
    GROUP,
    INTACT,
    JOINED,
    QUIESCENT_FIELD,
    RunKeys,
    consumer,
    pin_name,
)
from d4py_dynamic.store.redis.run_info import announce, driver_info, offer
from d4py_dynamic.store.redis.task_store import (
    READ_BYTES,
    at_most,
    delete_run,
    entries_by_stream,
    send_event,
)
from d4py_dynamic.store.serialization import remaining
from d4py_dynamic.store.tasks import Eviction, InstanceId, Lease, ResumePoint, Task, counts
from dispel4py.engine.codec import ForeignBytesError
from dispel4py.engine.plan import Plan
from dispel4py.errors import InputError, OptionError, ServiceError
from dispel4py.result import InstanceStats

_EVENTS_AT_ONCE = 64
#: Seconds that a server, which may have failed the run by not answering, has to delete its keys.
_FAREWELL_SECONDS = 1.0


class RedisRunStore:
    """See `RunStore`.

    Args:
        address: the server.
        keys: the run's keys.
        secret: the run's secret.
        plan: the plan; None for a client that only sends control messages.
        driver_id: id of the driver, unique among all drivers of the run;
            empty for a client that only sends control messages.
        keeps: results stay on the server to the end of the run, for the next driver.
    """

    def __init__(
        self,
        address: Address,
        keys: RunKeys,
        secret: bytes,
        plan: Plan | None = None,
        driver_id: str = "",
        keeps: bool = False,
    ) -> None:
        self._address = address
        self._largest = room_for(address.largest)
        self._keys = keys
        self._secret = secret
        self._envelope = Envelope(secret)
        self._pes = () if plan is None else plan.pes
        self._redis = connect(address)
        self._unfinished = self._redis.register_script(load_script("audit"))
        self._heartbeat = self._redis.register_script(load_script("heartbeat"))
        self._keep = self._redis.register_script(load_script("archive_results"))
        self._once = IdempotentScripts(self._redis, keys.prefix, f"driver-{secrets.token_hex(8)}")
        self._driver_id = driver_id
        self._keeps = keeps
        self._last_kept: bytes | None = None
        self._last_event = b"0"
        self._results_seen = self._missing_results = self._event_size = 0

    def create(self, mapping: str) -> None:
        """Make the run's keys."""
        keys = self._keys
        with service_errors(self._address), self._redis.pipeline(transaction=True) as pipe:
            pipe.delete(*keys.all(0))  # of an attempt that broke in the middle
            for stream in [*keys.streams(0), keys.out]:
                pipe.xgroup_create(stream, GROUP, id="0", mkstream=True)
            counts: dict[Any, Any] = {str(pe.index): 0 for pe in self._pes}
            counts |= {"results": 0, "replicas": 0, JOINED: 0, INTACT: 1}
            pipe.hset(keys.named("unfinished"), mapping=counts)
            pipe.hset(keys.named("answers"), INTACT, 1)
            pipe.execute()
            announce(self._redis, keys, mapping, self._driver_id)
            self._heartbeat(keys=[keys.prefix], args=["driver", self._driver_id])

    def offer(self, spec: object, lease: float) -> None:
        """Let workers that know the run's key join it; see `run_info.offer`."""
        with service_errors(self._address):
            offer(self._redis, self._keys, self._secret, spec, lease, self._address.largest)

    def send_event(self, event: Event) -> None:
        """Send an event to the driver, from somewhere else."""
        with service_errors(self._address):
            send_event(self._once, self._keys, self._envelope, event)

    def send_heartbeats(self, ranks: Iterable[int]) -> None:
        """Send the heartbeats of workers whose processes run on this host."""
        with service_errors(self._address):
            for rank in ranks:
                self._heartbeat(keys=[self._keys.prefix], args=[rank, ""])

    def join(self) -> int:
        with service_errors(self._address):
            return int(self._once("join", self._driver_id))

    def put(
        self, tasks: Iterable[Task], rank: int | None = None, *, offset: InputOffset | None = None
    ) -> None:
        rows = [] if offset is None else [(offset.root, offset.calls, int(offset.ended))]
        self._put([(task, rank) for task in tasks], [], [], rows)

    def finish(
        self,
        pe: int,
        tasks: Iterable[tuple[Task, int | None]],
        orphans: Iterable[OrphanedReplica] = (),
    ) -> None:
        self._put([*tasks], [(pe,)], [(orphan.token,) for orphan in orphans], [])

    def _put(
        self,
        tasks: list[tuple[Task, int | None]],
        finishing: list[tuple[int]],
        orphans: list[tuple[Any]],
        offsets: list[tuple[int, int, int]],
    ) -> None:
        """What `put.lua` does."""
        keys = self._keys
        rows = []
        for task, rank in tasks:
            stream = keys.stream_of(task) if rank is None else keys.inbox(rank)
            counted = task.pe if counts(task) else ""
            rows += [(stream, counted, data) for data in self._cut(task, stream)]
        lists: tuple[list[Any], ...] = (rows, finishing, orphans, offsets)
        arguments = chain.from_iterable((len(rows), *chain.from_iterable(rows)) for rows in lists)
        with service_errors(self._address):
            self._once("put", self._driver_id, *arguments)

    def _cut(self, task: Task, stream: str) -> Iterator[bytes]:
        parts = cut_task(task, lambda part: self._envelope.wrap(part, stream), self._largest)
        try:
            for _, data in parts:
                yield data
        except TooLargeError as error:
            raise InputError(f"an input of {self._pes[task.pe].id}: {error}") from error

    def evict(
        self, rank: int, pins: Iterable[InstanceId], *, count_delivery: bool = True
    ) -> Eviction:
        keys, pins = self._keys, [*pins]
        with service_errors(self._address):
            given_back, replicas, delivery_count, attempt = self._once(
                "evict_worker",
                *(self._driver_id, consumer(rank), rank, keys.inbox(rank), int(count_delivery)),
                *chain.from_iterable((pin_name(pin), keys.pin(*pin)) for pin in pins),
            )
        at_work = [(pin, count) for pin, count in zip(pins, delivery_count, strict=False) if count]
        return Eviction([*self._given_back(given_back)], sorted(replicas), at_work, attempt == b"0")

    def _given_back(self, entries: Iterable[tuple[bytes, int, bytes]]) -> Iterator[Lease]:
        for sealed, delivery_count, position in entries:
            with suppress(ForeignBytesError):  # who takes it next drops it
                task: Task = self._envelope.open(sealed, self._keys.shared)
                at = ResumePoint()
                if position:
                    at = self._envelope.open(position, self._keys.named("positions"))
                yield Lease(remaining(task, at), None, at, delivery_count)

    def seconds_since_heartbeat(self) -> dict[int, float]:
        prefix = self._keys.prefix
        with service_errors(self._address):
            self._heartbeat(keys=[prefix], args=["driver", self._driver_id])
            members: Any = self._redis.hgetall(self._keys.named("members"))
        now = int(members.pop(b"driver", 0))
        return {int(rank): (now - int(seen)) / 1000 for rank, seen in members.items()}

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
        if self._last_kept is not None and (kept := self._kept(self._last_kept)):
            return kept
        out = self._keys.out
        with service_errors(self._address):
            reply = self._redis.xread(
                {out: self._last_event},
                count=at_most(_EVENTS_AT_ONCE, self._event_size, READ_BYTES),
                block=max(1, int(seconds * 1000)),
            )
            events: dict[bytes, Event] = {}
            for _, entries in entries_by_stream(reply):
                for entry_id, fields in entries:
                    self._event_size = len(fields.get(FIELD, b""))
                    events[entry_id] = self._event(fields)
            results = [i for i, event in events.items() if isinstance(event, Results)]
            if self._keeps and results:
                self._keep(keys=[self._keys.prefix], args=[self._driver_id, *results])
            if events:
                self._last_event = [*events][-1]
                self._redis.xdel(out, *events)
        self._results_seen += len(results)
        return [*events.values()]

    def _kept(self, last: bytes) -> list[Event]:
        """The next results that another driver has seen, while there are some."""
        count = at_most(_EVENTS_AT_ONCE, self._event_size, READ_BYTES)
        with service_errors(self._address):
            found: Any = self._redis.xrange(self._keys.named("kept"), b"(" + last, count=count)
        self._last_kept = found[-1][0] if found else None
        self._event_size = max((len(fields.get(FIELD, b"")) for _, fields in found), default=0)
        self._results_seen += len(found)
        return [self._event(fields) for _, fields in found]

    def make_resumable(self, resumption: Any) -> None:
        """Let another driver take the run up when this one is dead; it gets `resumption`."""
        place = self._keys.named("resumption")
        with service_errors(self._address):
            self._redis.set(place, self._envelope.wrap(resumption, place))
            self._redis.hset(self._keys.named("info"), "resumable", 1)

    def take_over(self, last_heartbeat: int) -> DriverState:
        """Be the driver from now on; `events` begins with all results that there were.

        Args:
            last_heartbeat: the last heartbeat of the dead driver, as the server has it.

        Raises:
            OptionError: it is not dead, or another one has taken over.
        """
        keys = self._keys
        with service_errors(self._address):
            taken = self._once(
                "take_over", self._driver_id, last_heartbeat, *driver_info().values()
            )
            if taken == 0:
                raise OptionError(f"run {keys.run_id} has a driver that is alive")
            finishing: Any = self._redis.smembers(keys.named("finishing"))
            offsets: Any = self._redis.hgetall(keys.named("offsets"))
            members: Any = self._redis.hkeys(keys.named("members"))
        self._last_kept = b"0"
        return DriverState(
            frozenset(map(int, finishing)),
            {
                int(pe): InputOffset(int(pe), int(n.rstrip(b".")), n.endswith(b"."))
                for pe, n in offsets.items()
            },
            tuple(sorted(int(rank) for rank in members if rank.isdigit())),
        )

    def unfinished(self, watched: Iterable[int]) -> dict[int, int]:
        names = [str(pe) for pe in watched]
        streams = [*self._keys.streams(0), self._keys.inbox("")]
        with service_errors(self._address):
            tasks, events, replicas, flat = self._unfinished(
                keys=[self._keys.prefix], args=[len(names), *names, *streams]
            )
        counts = dict(zip(map(bytes.decode, flat[::2]), map(int, flat[1::2]), strict=True))
        if counts.pop(INTACT, None) is None:
            raise self._lost("the counts of this run")
        counts.pop(JOINED)
        self._missing_results = counts.pop("results") - self._results_seen
        missing_replicas = counts.pop("replicas") - replicas
        missing_tasks = sum(counts.values()) - tasks
        if missing_tasks > 0:
            raise self._lost(f"{missing_tasks} tasks")
        if self._last_kept is None and self._missing_results > events:
            raise self._lost(f"{self._missing_results - events} batches of results")
        if missing_replicas > 0:
            raise self._lost(f"the names of {missing_replicas} replicas")
        if self._missing_results < 0:
            raise ServiceError(
                f"the Redis server at {self._address} was restarted from an older state, in which"
                f" {-self._missing_results} batches of results are missing that it had handed out;"
                " a server that may be restarted during a run needs 'appendfsync always'"
            )
        return {int(name): value for name, value in counts.items()}

    def missing_results(self) -> int:
        self.unfinished(())
        return self._missing_results

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
        """Let go of the store; what is there stays."""
        self._redis.close()

    def delete(self) -> None:
        """See `RunStore`; says nothing where the server is gone and its keys with it."""
        self._redis.close()
        if not self._address.embedded:
            address = replace(self._address, patience=0.0)
            with suppress(redis.RedisError), connect(address, _FAREWELL_SECONDS) as client:
                delete_run(client, self._keys)

    def _event(self, fields: dict[bytes, bytes]) -> Event:
        if fields.get(QUIESCENT_FIELD, b"").isdigit():
            return Quiescent(int(fields[QUIESCENT_FIELD]))
        try:
            event: (
                Results
                | LogLine
                | UndeclaredState
                | WorkerFailed
                | WorkerExited
                | WorkerStopping
                | Notice
            ) = self._envelope.unwrap(fields, self._keys.out)
        except ForeignBytesError as error:
            return Notice(f"dropped {error}")
        return event

    def _lost(self, what: str) -> ServiceError:
        return ServiceError(
            f"the Redis server at {self._address} has lost {what}: somebody deleted or evicted"
            " keys; run with a maxmemory-policy of noeviction"
        )
