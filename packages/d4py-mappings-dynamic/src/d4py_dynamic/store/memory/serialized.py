"""Tasks, commits and evictions as bytes, as they are stored and travel to and from the store."""

from __future__ import annotations

from typing import NamedTuple

from d4py_dynamic.store.tasks import InstanceId, ResumePoint

#: Where a task is queued: for a pinned instance, for a worker (its rank), or, with None, for all
#: workers.
Place = InstanceId | int | None


class SerializedTask(NamedTuple):
    """A task in bytes.

    Attributes:
        place: where it is queued.
        pe: number of its PE; None for a control message, which is not counted.
        data: the task, pickled.
        position: see `Lease`.
        delivery_count: see `Lease`.
        buffer_bytes: size in bytes of its buffers in shared memory.
    """

    place: Place
    pe: int | None
    data: bytes
    position: ResumePoint = ResumePoint()
    delivery_count: int = 0
    buffer_bytes: int = 0

    @property
    def size(self) -> int:
        """Size in bytes of what is stored of it."""
        return len(self.data) + self.buffer_bytes


class SerializedCommit(NamedTuple):
    """A `Commit` in bytes; leases are named by their tokens.

    Attributes:
        leases: see `Commit`.
        states: see `Commit`.
        instance_positions: see `Commit`.
        lease_positions: see `Commit`.
        progressed: pinned instances and tokens of leases.
        attempt: a pinned instance or the token of a lease, and whether it is in a call.
        tasks: see `Commit`.
        results: results and failures, pickled; None if there are none.
        counters: see `Commit`.
        replicas: see `Commit`.
        finished: PEs of which this worker's replica was postprocessed.
        orphans: see `Commit`.
    """

    leases: list[int]
    states: list[tuple[InstanceId, bytes | None]]
    instance_positions: list[tuple[InstanceId, ResumePoint]]
    lease_positions: list[tuple[int, ResumePoint]]
    progressed: list[InstanceId | int]
    attempt: tuple[InstanceId | int, bool] | None
    tasks: list[SerializedTask]
    results: bytes | None
    counters: list[tuple[int, int, float]]
    replicas: list[int]
    finished: list[int]
    orphans: list[tuple[int, bytes]]


class SerializedInstance(NamedTuple):
    """An `AdoptedInstance` in bytes."""

    state: bytes | None
    position: ResumePoint
    leases: list[tuple[int, SerializedTask]]
    delivery_count: int


class SerializedEviction(NamedTuple):
    """An `Eviction` in bytes."""

    tasks: list[SerializedTask]
    replicas: list[int]
    pins: list[tuple[InstanceId, int]]
    starting: bool = False
