"""`RunStore` on Redis: the driver's side, which makes the run's keys and deletes them again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import chain
from typing import Any

import redis

from d4py_dynamic.mapping import Terms
from d4py_dynamic.packing import remaining
from d4py_dynamic.redis_guests import announce, offer
from d4py_dynamic.redis_keys import (
    COUNTED,
    DRAINED_FIELD,
    FIELD,
    GROUP,
    INTACT,
    JOINED,
    Envelope,
    RunKeys,
    consumer,
    pin_name,
)
from d4py_dynamic.redis_server import Address, connect, service_errors
from d4py_dynamic.redis_store import (
    READ_BYTES,
    at_most,
    delete_run,
    entries_by_stream,
    load_script,
    tell,
)
from d4py_dynamic.store import Drained, Event, Failed, Gone, Load, LogLine, Note, Results
from d4py_dynamic.tasks import Lease, Lost, Pin, Position, Task, counts
from dispel4py.codec import ForeignBytesError
from dispel4py.errors import ServiceError
from dispel4py.plan import Plan
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
        plan: the plan; None for who only sends orders.
    """

    def __init__(
        self, address: Address, keys: RunKeys, secret: bytes, plan: Plan | None = None
    ) -> None:
        self._address = address
        self._keys = keys
        self._secret = secret
        self._envelope = Envelope(secret)
        self._pes = () if plan is None else plan.pes
        self._redis = connect(address)
        self._unfinished = self._redis.register_script(load_script("unfinished"))
        self._sign = self._redis.register_script(load_script("sign"))
        self._join = self._redis.register_script(load_script("join"))
        self._lose = self._redis.register_script(load_script("lose"))
        self._last_event = b"0"
        self._results_seen = self._missing_results = self._event_size = 0

    def create(self, mapping: str) -> None:
        """Make the run's keys."""
        keys = self._keys
        with service_errors(self._address), self._redis.pipeline(transaction=True) as pipe:
            for stream in [*keys.streams(0), keys.out]:
                pipe.xgroup_create(stream, GROUP, id="0", mkstream=True)
            counts: dict[Any, Any] = {str(pe.index): 0 for pe in self._pes}
            counts |= {"results": 0, "replicas": 0, JOINED: 0, INTACT: 1}
            pipe.hset(keys.named("unfinished"), mapping=counts)
            pipe.execute()
            announce(self._redis, keys, mapping)
            self._sign(keys=[keys.prefix], args=["driver"])

    def offer(self, terms: Terms, lease: float) -> None:
        """Let workers that know the run's key join it; see `d4py_dynamic.redis_guests.offer`."""
        with service_errors(self._address):
            offer(self._redis, self._keys, self._secret, terms, lease)

    def tell(self, event: Event) -> None:
        """Send an event to the driver, from somewhere else."""
        with service_errors(self._address):
            tell(self._redis, self._keys, self._envelope, event)

    def join(self) -> int:
        with service_errors(self._address):
            return int(self._join(keys=[self._keys.prefix]))

    def put(self, tasks: Iterable[Task], rank: int | None = None) -> None:
        keys = self._keys
        with service_errors(self._address), self._redis.pipeline(transaction=True) as pipe:
            for task in tasks:
                stream = keys.stream_of(task) if rank is None else keys.inbox(rank)
                fields: dict[Any, Any] = {FIELD: self._envelope.wrap(task, stream)}
                if counts(task):
                    pipe.hincrby(keys.named("unfinished"), str(task.pe), 1)
                    fields[COUNTED] = task.pe
                pipe.xadd(stream, fields, nomkstream=rank is not None)
            pipe.execute()

    def lose(self, rank: int, pins: Iterable[Pin], *, blame: bool = True) -> Lost:
        keys, pins = self._keys, [*pins]
        with service_errors(self._address):
            given_back, replicas, losses = self._lose(
                keys=[keys.prefix],
                args=[
                    *(consumer(rank), rank, keys.inbox(rank), int(blame)),
                    *chain.from_iterable((pin_name(pin), keys.pin(*pin)) for pin in pins),
                ],
            )
        at_work = [(pin, count) for pin, count in zip(pins, losses, strict=False) if count]
        return Lost([*self._given_back(given_back)], sorted(replicas), at_work)

    def _given_back(self, entries: Iterable[tuple[bytes, int, bytes]]) -> Iterator[Lease]:
        for sealed, losses, position in entries:
            with suppress(ForeignBytesError):  # who takes it next drops it
                task: Task = self._envelope.open(sealed, self._keys.shared)
                at = Position()
                if position:
                    at = self._envelope.open(position, self._keys.named("positions"))
                yield Lease(remaining(task, at), None, at, losses)

    def silent(self) -> dict[int, float]:
        prefix = self._keys.prefix
        with service_errors(self._address):
            self._sign(keys=[prefix], args=["driver"])
            members: Any = self._redis.hgetall(self._keys.named("members"))
        now = int(members.pop(b"driver", 0))
        return {int(rank): (now - int(seen)) / 1000 for rank, seen in members.items()}

    def load(self) -> Load:
        keys = self._keys
        with service_errors(self._address), self._redis.pipeline(transaction=True) as pipe:
            pipe.xlen(keys.shared)
            pipe.xpending(keys.shared, GROUP)
            pipe.smembers(keys.named("hungry"))
            pipe.smembers(keys.named("parked"))
            length, pending, hungry, parked = pipe.execute()
        waiting = max(0, length - pending["pending"])
        return Load(waiting, frozenset(map(int, hungry)), frozenset(map(int, parked)))

    def waiting(self, pe: int, instance: int) -> int:
        with service_errors(self._address):
            return int(self._redis.xlen(self._keys.pin(pe, instance)))

    def events(self, seconds: float) -> list[Event]:
        out = self._keys.out
        with service_errors(self._address):
            reply = self._redis.xread(
                {out: self._last_event},
                count=at_most(_EVENTS_AT_ONCE, self._event_size, READ_BYTES),
                block=max(1, int(seconds * 1000)),
            )
            events: list[Event] = []
            ids: list[bytes] = []
            for _, entries in entries_by_stream(reply):
                for entry_id, fields in entries:
                    ids.append(entry_id)
                    self._event_size = len(fields.get(FIELD, b""))
                    events.append(self._event(fields))
            if ids:
                self._last_event = ids[-1]
                self._redis.xdel(out, *ids)
        self._results_seen += sum(isinstance(event, Results) for event in events)
        return events

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
        if self._missing_results > events:
            raise self._lost(f"{self._missing_results - events} batches of results")
        if missing_replicas > 0:
            raise self._lost(f"the names of {missing_replicas} replicas")
        return {int(name): value for name, value in counts.items()}

    def missing_results(self) -> int:
        self.unfinished(())
        return self._missing_results

    def replicas(self, pe: int) -> list[int]:
        with service_errors(self._address):
            members: Any = self._redis.smembers(self._keys.named("replicas"))
        pairs = [member.decode().split("/") for member in members]
        return sorted(int(rank) for number, rank in pairs if int(number) == pe)

    def orphans(self, pe: int) -> list[bytes]:
        name = self._keys.named("orphans")
        with service_errors(self._address):
            found: Any = self._redis.hgetall(name)
            own = {key: sealed for key, sealed in found.items() if key.split(b"/")[0] == b"%d" % pe}
            if own:
                self._redis.hdel(name, *own)
        return [self._envelope.unseal(sealed, name) for sealed in own.values()]

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

    def delete(self) -> None:
        """See `RunStore`; says nothing where the server is gone and its keys with it."""
        self._redis.close()
        if not self._address.embedded:
            with suppress(redis.RedisError), connect(self._address, _FAREWELL_SECONDS) as client:
                delete_run(client, self._keys)

    def _event(self, fields: dict[bytes, bytes]) -> Event:
        if fields.get(DRAINED_FIELD, b"").isdigit():
            return Drained(int(fields[DRAINED_FIELD]))
        try:
            event: Results | LogLine | Failed | Gone | Note = self._envelope.unwrap(
                fields, self._keys.out
            )
        except ForeignBytesError as error:
            return Note(f"dropped {error}")
        return event

    def _lost(self, what: str) -> ServiceError:
        return ServiceError(
            f"the Redis server at {self._address} has lost {what}: somebody deleted or evicted"
            " keys; run with a maxmemory-policy of noeviction"
        )
