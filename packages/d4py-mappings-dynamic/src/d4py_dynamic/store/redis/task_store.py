"""`TaskStore` on Redis streams: a worker's side.

Shared tasks are in one stream that all workers read as one consumer group, so an entry that was
read and not acknowledged is a lease.  Every pinned instance has a stream that only its owner reads,
every worker an inbox.  A commit is one Lua script, which refuses a worker that was evicted.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from d4py_dynamic.store.limits import TAKE_SECONDS, StoreLimits
from d4py_dynamic.store.protocols import Activity, LogLine, UndeclaredState
from d4py_dynamic.store.redis.commit_request import CommitRequests
from d4py_dynamic.store.redis.connections.address import Address
from d4py_dynamic.store.redis.connections.client import connect
from d4py_dynamic.store.redis.connections.errors import service_errors
from d4py_dynamic.store.redis.envelope import Envelope, room_for
from d4py_dynamic.store.redis.keys import RunKeys, pin_name
from d4py_dynamic.store.redis.run_events import delete_run, send_event
from d4py_dynamic.store.redis.scripts import IdempotentScripts, register_script
from d4py_dynamic.store.redis.streams import at_most, expected_size, fields_of
from d4py_dynamic.store.redis.task_reader import TaskReader
from d4py_dynamic.store.task_pickles import TaskCodec, TaskPickle
from d4py_dynamic.store.tasks import (
    ITEMS,
    AdoptedInstance,
    Commit,
    InstanceId,
    Lease,
    ResumePoint,
    StoreStatus,
    Task,
)

if TYPE_CHECKING:
    from dispel4py.engine.execution.metering import MeterReport


class RedisTaskStore:
    """See `TaskStore`.

    Args:
        address: the server.
        keys: the run's keys.
        secret: the run's secret.
        rank: number of this worker.
        limits: when queues are full, and how much to read at once.
        codec: pickles tasks.
    """

    def __init__(
        self,
        address: Address,
        keys: RunKeys,
        secret: bytes,
        rank: int,
        limits: StoreLimits = StoreLimits(),
        codec: TaskCodec | None = None,
    ) -> None:
        self._address = address
        self.largest = room_for(address.largest)
        self._keys = keys
        self._envelope = Envelope(secret)
        codec = codec or TaskCodec()
        self._rank = rank
        self._limits = limits
        self._task_size: dict[InstanceId, int] = {}
        self._results_size = 0
        self._redis = connect(address, key=keys.prefix)
        self._scripts = IdempotentScripts(self._redis, keys.prefix, str(rank))
        # Threads send events while the worker commits, so their calls are counted separately.
        self._event_scripts = IdempotentScripts(self._redis, keys.prefix, f"{rank}-events")
        self._adopt = register_script(self._redis, "adopt")
        self._ask_status = register_script(self._redis, "status")
        self._requests = CommitRequests(keys, self._envelope, rank, self.largest, codec)
        self._reader = TaskReader(
            *(self._redis, keys, self._envelope, codec, rank),
            self.send_event,
            self._scripts.verify,
            limits,
        )
        self.seen = StoreStatus(0)

    def take(
        self,
        only: Sequence[InstanceId] | None = None,
        seconds: float = TAKE_SECONDS,
        *,
        shared: bool = True,
        pinned: bool = True,
    ) -> list[Lease]:
        seconds = min(seconds, self._address.block_seconds)
        with service_errors(self._address):
            if only is not None:
                return self._reader.read_only(self._keys.pin(*pin) for pin in only)
            leases = self._reader.read(seconds, shared=shared, pinned=pinned)
        self.seen = self._status(self._reader.load)
        return leases

    def adopt(self, pin: InstanceId) -> AdoptedInstance:
        stream = self._keys.pin(*pin)
        with service_errors(self._address):
            state, position, delivery_count, entries = self._adopt(
                keys=[self._keys.prefix], args=[self._rank, pin_name(pin), stream]
            )
            if entries:
                self._reader.set_idle(False)
        self._reader.add_instance(stream)
        states, positions = self._keys.named("states"), self._keys.named("positions")
        return AdoptedInstance(
            None if state is None else self._envelope.unseal(state, states),
            ResumePoint() if position is None else self._envelope.open(position, positions),
            self._reader.leases([(stream.encode(), [(i, fields_of(flat)) for i, flat in entries])]),
            int(delivery_count),
        )

    def commit(self, commit: Commit) -> StoreStatus:
        tasks = self._requests.pickled_tasks(commit)
        results = self._requests.sealed_results(commit)
        request = self._requests.make(commit, tasks, results)
        with service_errors(self._address):
            answer = self._scripts("commit", request)
        load, waiting, rest = answer[:4], answer[4], answer[5:]
        if commit.leases:
            self._reader.expects_more = waiting > 0
        self._reader.forget(commit.leases)
        if results:
            size = max(map(len, results))
            self._results_size = expected_size(self._results_size, size)
        status = self._status(load)
        if tasks:
            full = self._full_instances(tasks, rest[::2])
            status = status._replace(full=full, call_seconds=_call_seconds(tasks, rest[1::2]))
        return status

    def _status(self, load: Sequence[int], divisor: int = 1) -> StoreStatus:
        """Return a status from what scripts return of the load.

        Args:
            load: see `common.lua`.
            divisor: what to divide the limit of results by.
        """
        idle, backlog, events, messages = load
        return StoreStatus(
            idle,
            results_full=events > self._max_results() // divisor,
            has_messages=messages > 0,
            backlog=backlog,
        )

    def _full_instances(
        self, tasks: Sequence[tuple[Task, TaskPickle]], lengths: Sequence[int]
    ) -> tuple[InstanceId, ...]:
        """Return those of the instances that tasks were sent to that have too many now."""
        full = set()
        for (task, pickled), length in zip(tasks, lengths, strict=True):
            pin = task.pe, task.instance
            self._task_size[pin] = expected_size(self._task_size.get(pin, 0), pickled.size)
            if task.kind == ITEMS and task.instance >= 0 and length > self._max_tasks(pin):
                full.add(pin)
        return tuple(full)

    def status(self, watched: Sequence[InstanceId] = ()) -> StoreStatus:
        streams = [self._keys.pin(*pin) for pin in watched]
        with service_errors(self._address):
            answer = self._ask_status(keys=[self._keys.prefix], args=[self._rank, *streams])
        # Half the limits, so that a paused sender does not start and stop at every task.
        pairs = zip(watched, answer[4:], strict=True)
        full = tuple(pin for pin, length in pairs if length > self._max_tasks(pin) // 2)
        return self._status(answer[:4], 2)._replace(full=full)

    def positions(self, pins: Sequence[InstanceId]) -> list[ResumePoint]:
        place = self._keys.named("positions")
        with service_errors(self._address):
            found: Any = self._redis.hmget(place, [pin_name(pin) for pin in pins])
        return [ResumePoint() if at is None else self._envelope.open(at, place) for at in found]

    def log(self, pe_id: str, rank: int, message: str) -> None:
        self.send_event(LogLine(pe_id, rank, message))

    def report_activity(self, report: MeterReport) -> None:
        self.send_event(Activity(report))

    def report_undeclared_state(self, found: UndeclaredState) -> None:
        self.send_event(found)

    def send_event(self, event: Any) -> None:
        """Send an event to the driver."""
        with service_errors(self._address):
            send_event(self._event_scripts, self._keys, self._envelope, event)

    def is_run_there(self) -> bool:
        """Return whether the run is not over."""
        with service_errors(self._address):
            return bool(self._redis.exists(self._keys.named("unfinished")))

    def close(self) -> None:
        self._redis.close()

    def delete(self) -> None:
        """Delete all keys of a run whose driver is gone, unless another driver can resume it."""
        if self._address.embedded:
            with connect(self._address._replace(reconnect_seconds=0.0)) as client:
                client.shutdown(nosave=True)
        elif self._redis.hget(self._keys.named("info"), "resumable") != b"1":
            delete_run(self._redis, self._address, self._keys)

    def _max_tasks(self, pin: InstanceId) -> int:
        limits = self._limits
        return at_most(limits.queue_length, self._task_size.get(pin, 0), limits.queue_bytes)

    def _max_results(self) -> int:
        limits = self._limits
        return at_most(limits.result_batches, self._results_size, limits.queue_bytes)


def _call_seconds(
    tasks: Sequence[tuple[Task, TaskPickle]], microseconds: Sequence[int]
) -> tuple[tuple[int, float], ...]:
    """Return the PEs of tasks, each with the time of a call as far as it is known."""
    known = {task.pe: cost / 1e6 for (task, _), cost in zip(tasks, microseconds, strict=True)}
    return tuple(pair for pair in known.items() if pair[1] >= 0)
