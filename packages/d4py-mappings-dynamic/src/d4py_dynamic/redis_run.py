"""`RunStore` on Redis: the driver's side, which makes the run's keys and deletes them again."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import Any

import redis

from d4py_dynamic.redis_keys import DRAINED_FIELD, FIELD, GROUP, INTACT, Envelope, RunKeys
from d4py_dynamic.redis_server import Address, connect, service_errors
from d4py_dynamic.redis_store import READ_BYTES, at_most, entries_by_stream, load_script
from d4py_dynamic.store import Drained, Event, LogLine, Note, Results
from d4py_dynamic.tasks import STOP, Task
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
        plan: the plan.
    """

    def __init__(self, address: Address, keys: RunKeys, secret: bytes, plan: Plan) -> None:
        self._address = address
        self._keys = keys
        self._envelope = Envelope(secret)
        self._plan = plan
        self._redis = connect(address)
        self._unfinished = self._redis.register_script(load_script("unfinished"))
        self._last_event = b"0"
        self._results_seen = self._missing_results = self._event_size = 0

    def create(self) -> None:
        """Make the run's keys."""
        keys = self._keys
        with service_errors(self._address), self._redis.pipeline(transaction=True) as pipe:
            for stream in [*keys.streams(), keys.out]:
                pipe.xgroup_create(stream, GROUP, id="0", mkstream=True)
            counts: dict[Any, Any] = {str(pe.index): 0 for pe in self._plan.pes}
            counts |= {"results": 0, "replicas": 0, INTACT: 1}
            pipe.hset(keys.named("unfinished"), mapping=counts)
            pipe.execute()

    def put(self, tasks: Iterable[Task], rank: int | None = None) -> None:
        keys = self._keys
        with service_errors(self._address), self._redis.pipeline(transaction=True) as pipe:
            for task in tasks:
                stream = keys.stream_of(task) if rank is None else keys.inbox(rank)
                if task.kind != STOP:
                    pipe.hincrby(keys.named("unfinished"), str(task.pe), 1)
                pipe.xadd(stream, {FIELD: self._envelope.wrap(task, stream)})
            pipe.execute()

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
        with service_errors(self._address):
            tasks, events, replicas, flat = self._unfinished(
                keys=[self._keys.prefix], args=[len(names), *names, *self._keys.streams()]
            )
        counts = dict(zip(map(bytes.decode, flat[::2]), map(int, flat[1::2]), strict=True))
        if counts.pop(INTACT, None) is None:
            raise self._lost("the counts of this run")
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
            InstanceStats(self._plan.pes[pe].id, rank, count, seconds)
            for pe, rank, count, seconds in sorted(entries)
        ]

    def delete(self) -> None:
        """See `RunStore`; says nothing where the server is gone and its keys with it."""
        self._redis.close()
        if not self._address.embedded:
            with suppress(redis.RedisError), connect(self._address, _FAREWELL_SECONDS) as client:
                client.unlink(*self._keys.all())

    def _event(self, fields: dict[bytes, bytes]) -> Event:
        if fields.get(DRAINED_FIELD, b"").isdigit():
            return Drained(int(fields[DRAINED_FIELD]))
        try:
            event: Results | LogLine | Note = self._envelope.unwrap(fields, self._keys.out)
        except ForeignBytesError as error:
            return Note(f"dropped {error}")
        return event

    def _lost(self, what: str) -> ServiceError:
        return ServiceError(
            f"the Redis server at {self._address} has lost {what}: somebody deleted or evicted"
            " keys; run with a maxmemory-policy of noeviction"
        )
