"""The tasks of a run in the memory of the driver's process: a store for workers of one machine.

All methods may be called from any thread and keep the rules of `TaskStore`.  Tasks and events are
bytes here, which the store never unpickles.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from time import monotonic

from d4py_dynamic.store.limits import StoreLimits
from d4py_dynamic.store.memory.commit import apply_commit
from d4py_dynamic.store.memory.eviction import evict_worker
from d4py_dynamic.store.memory.serialized import (
    Place,
    SerializedCommit,
    SerializedEviction,
    SerializedInstance,
    SerializedTask,
)
from d4py_dynamic.store.memory.state import Queue, StoreState
from d4py_dynamic.store.protocols import Load
from d4py_dynamic.store.tasks import InstanceId, ResumePoint, StoreStatus
from dispel4py.errors import ServiceError


class InMemoryStore:
    """Tasks, leases, states and counts.

    Args:
        pes: number of PEs.
        limits: when queues are full.
    """

    def __init__(self, pes: int, limits: StoreLimits = StoreLimits()) -> None:
        self._limits = limits
        self._lock = threading.RLock()
        self._state = StoreState(pes, self._lock)
        self._turn = 0
        self._closed: str | None = None

    # For workers.

    def take(
        self,
        rank: int,
        only: Sequence[InstanceId] | None,
        seconds: float,
        shared: bool,
        pinned: bool,
    ) -> tuple[list[tuple[int, SerializedTask]], StoreStatus]:
        """Return leases, and the status afterwards; see `TaskStore.take`."""
        with self._lock:
            self._check(rank)
            if only is not None:
                return self._take_from(rank, only), self._state.status(rank, (), self._limits)
            members = self._state.members
            until = monotonic() + seconds
            taken = self._take_any(rank, shared, pinned)
            while not taken and (left := until - monotonic()) > 0:
                members.wait(rank, left, shared=shared)
                self._check(rank)
                taken = self._take_any(rank, shared, pinned)
            members.idle.discard(rank)
            members.paused.discard(rank)
            if taken and all(task.pe is None for _, task in taken):
                members.idle.add(rank)  # control messages are handled in no time
            if self._state.queues[None].waiting:
                members.wake_next()  # the task may have been meant for another waiting worker
            self._state.wake_feeders()
            return taken, self._state.status(rank, (), self._limits)

    def adopt(self, rank: int, pin: InstanceId) -> SerializedInstance:
        """See `TaskStore.adopt`."""
        with self._lock:
            self._check(rank)
            state = self._state
            instance = state.instances[pin]
            instance.owner = rank
            leases = [
                (token, task) for token, (_, task) in sorted(state.leases.items())
                if task.place == pin
            ]  # fmt: skip
            state.leases.update((token, (rank, task)) for token, task in leases)
            if leases:
                state.members.idle.discard(rank)
            return SerializedInstance(
                instance.state, instance.position, leases, instance.delivery_count
            )

    def commit(self, rank: int, commit: SerializedCommit) -> StoreStatus:
        """See `TaskStore.commit`."""
        with self._lock:
            self._check(rank)
            apply_commit(self._state, rank, commit)
            self._state.wake_feeders()
            pins = {task.place for task in commit.tasks if isinstance(task.place, tuple)}
            receivers = {task.pe for task in commit.tasks if task.pe is not None}
            return self._state.status(rank, sorted(pins), self._limits, receivers=receivers)

    def status(self, rank: int, watched: Sequence[InstanceId]) -> StoreStatus:
        """See `TaskStore.status`."""
        with self._lock:
            self._check(rank)
            # Half the limit, so that a paused sender does not start and stop at every task.
            return self._state.status(rank, watched, self._limits, 2)

    def positions(self, rank: int, pins: Sequence[InstanceId]) -> list[ResumePoint]:
        """See `TaskStore.positions`."""
        with self._lock:
            self._check(rank)
            return [self._state.instances[pin].position for pin in pins]

    def send_event(self, rank: int, event: bytes) -> None:
        """Queue a worker's event for the driver."""
        with self._lock:
            self._check(rank)
            self._state.emit(event)

    # For the driver.

    def join(self) -> int:
        """See `RunStore.join`."""
        with self._lock:
            rank = self._state.members.join()
            self._state.queues[rank] = Queue()
            return rank

    def put(
        self, tasks: Iterable[SerializedTask], orphans: Iterable[tuple[int, bytes]] = ()
    ) -> None:
        """See `RunStore.put` and `RunStore.finish`."""
        with self._lock:
            for task in tasks:
                self._state.add(task)
            for pe, replica in orphans:
                self._state.orphans[pe].remove(replica)

    def feed(self, tasks: Iterable[SerializedTask], root: int, place: Place, limit: int) -> bool:
        """See `RunStore.feed`."""
        with self._lock:
            self.put(tasks)
            self._state.feeders[root] = place, limit
            self._state.wake_feeders()
            return root in self._state.feeders

    def wait_for_room(self, root: int, seconds: float) -> bool:
        """See `RunStore.wait_for_room`."""
        feeders = self._state.feeders
        with self._lock:
            return self._state.has_room.wait_for(lambda: root not in feeders, seconds)

    def evict(
        self, rank: int, pins: Iterable[InstanceId], *, count_delivery: bool = True
    ) -> SerializedEviction:
        """See `RunStore.evict`."""
        with self._lock:
            return evict_worker(self._state, rank, pins, count_delivery=count_delivery)

    def queue_length(self, pin: InstanceId) -> int:
        """See `RunStore.queue_length`."""
        with self._lock:
            return self._state.queues[pin].length

    def load(self) -> Load:
        """See `RunStore.load`."""
        with self._lock:
            members = self._state.members
            backlog = len(self._state.queues[None].waiting)
            return Load(backlog, frozenset(members.idle), frozenset(members.paused))

    def events(self, seconds: float) -> list[bytes | int]:
        """Return events, and numbers of quiescent PEs; wait up to `seconds` for some."""
        with self._lock:
            waiting = self._state.events
            self._state.happened.wait_for(lambda: waiting, seconds)
            return self._state.take_events()

    def unfinished(self, watched: Iterable[int]) -> dict[int, int]:
        """See `RunStore.unfinished`."""
        with self._lock:
            self._state.watched.update(watched)
            return dict(self._state.unfinished)

    @property
    def result_batches(self) -> int:
        """Number of batches of results that were committed."""
        with self._lock:
            return self._state.result_batches

    def replicas(self, pe: int) -> list[int]:
        """See `RunStore.replicas`."""
        with self._lock:
            return sorted(rank for number, rank in self._state.replicas if number == pe)

    def orphans(self, pe: int) -> list[bytes]:
        """See `RunStore.orphans`."""
        with self._lock:
            return [*self._state.orphans.get(pe, [])]

    def counters(self) -> list[tuple[int, int, int, float]]:
        """Return PE number, worker, calls and seconds of each PE and worker."""
        with self._lock:
            return [
                (pe, rank, calls, self._state.busy[pe, rank] / 1e6)
                for (pe, rank), calls in sorted(self._state.calls.items())
            ]

    def close(self, why: str = "the run is over") -> None:
        """Refuse all further calls of workers, and wake those that wait."""
        with self._lock:
            self._closed = why
            self._state.members.wake_all()

    # Under the lock.

    def _check(self, rank: int) -> None:
        if self._closed is not None:
            raise ServiceError(self._closed)
        if rank not in self._state.members:
            raise ServiceError(f"worker {rank} was evicted, and others process its tasks")

    def _take_any(self, rank: int, shared: bool, pinned: bool) -> list[tuple[int, SerializedTask]]:
        # What only this worker can do comes first, but not each time: while it always has such
        # work, the rest would never have its turn.
        instances = self._state.instances.items() if pinned else ()
        taken = self._take_from(rank, [pin for pin, found in instances if found.owner == rank])
        self._turn = (self._turn + 1) % self._limits.turns
        if shared and (not taken or not self._turn):
            taken += self._state.lease(rank, None)
        return taken

    def _take_from(self, rank: int, pins: Iterable[InstanceId]) -> list[tuple[int, SerializedTask]]:
        """Take one task from the worker's inbox and one of each of these instances."""
        places: list[Place] = [rank, *pins]
        return [taken for place in places for taken in self._state.lease(rank, place)]
