"""`TaskStore` on an `InMemoryStore`: a worker's side, which serializes tasks.

A worker calls the store's methods in the same process, or over a connection; see `rpc`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from d4py_dynamic.store.limits import TAKE_SECONDS
from d4py_dynamic.store.memory.serialized import (
    Place,
    SerializedCommit,
    SerializedInstance,
    SerializedTask,
)
from d4py_dynamic.store.protocols import Activity, LogLine, Results, UndeclaredState
from d4py_dynamic.store.serialization import CODEC, dumps, remaining
from d4py_dynamic.store.task_pickles import TaskCodec, TaskPickle
from d4py_dynamic.store.tasks import (
    ANY,
    AdoptedInstance,
    Commit,
    Delivery,
    InstanceId,
    Lease,
    ResumePoint,
    StoreStatus,
    Task,
    is_counted,
    is_replica_end,
)

if TYPE_CHECKING:
    from dispel4py.engine.execution.metering import MeterReport

#: Calls a method of the store, by name, for one worker.
StoreCall = Callable[..., Any]


class InMemoryTaskStore:
    """See `TaskStore`.

    Args:
        call: see `StoreCall`.
        codec: pickles tasks.
    """

    largest: int | None = None

    def __init__(self, call: StoreCall, codec: TaskCodec | None = None) -> None:
        self._call = call
        self._codec = codec or TaskCodec()
        self.seen = StoreStatus(0)

    def take(
        self,
        only: Sequence[InstanceId] | None = None,
        seconds: float = TAKE_SECONDS,
        *,
        shared: bool = True,
        pinned: bool = True,
    ) -> list[Lease]:
        taken, status = self._call("take", only, seconds, shared, pinned)
        if only is None:
            self.seen = status
        return self._leases(taken)

    def adopt(self, pin: InstanceId) -> AdoptedInstance:
        found: SerializedInstance = self._call("adopt", pin)
        return AdoptedInstance(
            found.state, found.position, self._leases(found.leases), found.delivery_count
        )

    def commit(self, commit: Commit) -> StoreStatus:
        serialized = _serialize_commit(commit, self._codec)
        status: StoreStatus = self._call("commit", serialized)
        self._codec.end(serialized.leases)
        return status

    def status(self, watched: Sequence[InstanceId] = ()) -> StoreStatus:
        status: StoreStatus = self._call("status", tuple(watched))
        return status

    def positions(self, pins: Sequence[InstanceId]) -> list[ResumePoint]:
        positions: list[ResumePoint] = self._call("positions", pins)
        return positions

    def log(self, pe_id: str, rank: int, message: str) -> None:
        self._call("send_event", CODEC.dumps(LogLine(pe_id, rank, message)))

    def report_activity(self, report: MeterReport) -> None:
        self._call("send_event", CODEC.dumps(Activity(report)))

    def report_undeclared_state(self, found: UndeclaredState) -> None:
        self._call("send_event", CODEC.dumps(found))

    def close(self) -> None:
        """See `TaskStore`; the owner of the connection closes it."""

    def _leases(self, taken: list[tuple[int, SerializedTask]]) -> list[Lease]:
        return [deserialize(task, self._codec, token) for token, task in taken]


def serialize(task: Task, rank: int | None = None) -> SerializedTask:
    """Return a task in bytes; with `rank`, for the inbox of that worker."""
    return _serialize(task, TaskPickle(dumps(task), []), TaskCodec(), rank)


def _serialize(
    task: Task, pickled: TaskPickle, codec: TaskCodec, rank: int | None = None
) -> SerializedTask:
    place: Place = rank
    if rank is None and task.instance != ANY:
        place = (task.pe, task.instance)
    return SerializedTask(
        place,
        task.pe if is_counted(task) else None,
        codec.pack(pickled),
        buffer_bytes=pickled.buffer_bytes,
    )


def deserialize(found: SerializedTask, codec: TaskCodec, token: int | None = None) -> Lease:
    """Return the lease of a task in bytes."""
    task = remaining(codec.unpack(found.data, token), found.position)
    return Lease(task, token, found.position, found.delivery_count)


def _serialize_commit(commit: Commit, codec: TaskCodec) -> SerializedCommit:
    # What cannot be pickled is noticed before anything is copied to the heap.
    pickled = [codec.pickle(task) for task in commit.tasks]
    results = None
    if commit.results or commit.failures:
        results = dumps(Results(commit.results, commit.failures))
    attempt = commit.attempt
    return SerializedCommit(
        leases=[lease.token for lease in commit.leases],
        states=commit.states,
        instance_positions=commit.instance_positions,
        lease_positions=[(lease.token, position) for lease, position in commit.lease_positions],
        progressed=[_name(delivery) for delivery in commit.progressed],
        attempt=None if attempt is None else (_name(attempt.delivery), attempt.in_call),
        tasks=[
            _serialize(task, found, codec)
            for task, found in zip(commit.tasks, pickled, strict=True)
        ],
        results=results,
        counters=commit.counters,
        replicas=commit.replicas,
        finished=[lease.task.pe for lease in commit.leases if is_replica_end(lease.task)],
        orphans=commit.orphans,
    )


def _name(delivery: Delivery) -> InstanceId | int:
    return delivery.token if isinstance(delivery, Lease) else delivery
