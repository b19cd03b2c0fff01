"""What an `InMemoryStore` holds: queues, leases, pinned instances, counts and events.

Nothing here is thread-safe: the store holds its lock around every use.
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from threading import Condition, RLock

from d4py_dynamic.store.limits import StoreLimits
from d4py_dynamic.store.memory.members import Members
from d4py_dynamic.store.memory.serialized import Place, SerializedTask
from d4py_dynamic.store.tasks import InstanceId, ResumePoint, StoreStatus


@dataclass
class Queue:
    """The unfinished tasks of one place.

    Attributes:
        waiting: tasks that are not leased.
        length: number of tasks, leased ones included.
        size: their size in bytes.
    """

    waiting: deque[SerializedTask] = field(default_factory=deque)
    length: int = 0
    size: int = 0

    def add(self, task: SerializedTask) -> None:
        """Append a task."""
        self.waiting.append(task)
        self.length += 1
        self.size += task.size

    def end(self, task: SerializedTask) -> None:
        """Stop counting a task."""
        self.length -= 1
        self.size -= task.size

    def is_over(self, length: int, size: int) -> bool:
        """Return whether there are more tasks, or larger ones; one task is never too large."""
        return self.length > length or (self.size > size and self.length > 1)


@dataclass
class Instance:
    """A pinned instance, apart from its tasks; see `AdoptedInstance`."""

    owner: int | None = None
    state: bytes | None = None
    position: ResumePoint = field(default_factory=ResumePoint)
    delivery_count: int = 0


class StoreState:
    """The contents of a store.

    Args:
        pes: number of PEs.
        lock: the store's lock.

    Attributes:
        members: workers that may use the store.
        queues: queued tasks.
        leases: token → worker and task.
        instances: pinned instances.
        unfinished: number of unfinished tasks of each PE.
        watched: PEs for which events are emitted when they have no unfinished tasks.
        attempts: what each worker is about to do; see `Attempt`.
        replicas: (PE number, worker) of replicas with a life cycle.
        orphans: pickled replicas of each PE that their workers have left.
        events: events for the driver: pickled ones, and numbers of quiescent PEs.
        happened: condition of a driver that waits for events.
        result_batches: number of committed batches of results.
        calls: (PE number, worker) → number of calls.
        busy: (PE number, worker) → microseconds in calls.
        call_seconds: how long a call of each PE took in the last commit that reported some.
        feeders: roots whose feeder waits for room in their queue, each with the place and with how
            many tasks it is full.
        has_room: condition of feeders that wait.
    """

    def __init__(self, pes: int, lock: RLock) -> None:
        self.members = Members(lock)
        self.queues: defaultdict[Place, Queue] = defaultdict(Queue)
        self.leases: dict[int, tuple[int, SerializedTask]] = {}
        self.instances: defaultdict[InstanceId, Instance] = defaultdict(Instance)
        self.unfinished = Counter(dict.fromkeys(range(pes), 0))
        self.watched: set[int] = set()
        self.attempts: dict[int, tuple[InstanceId | int, bool]] = {}
        self.replicas: set[tuple[int, int]] = set()
        self.orphans: dict[int, list[bytes]] = {}
        self.events: deque[bytes | int] = deque()
        self.happened = Condition(lock)
        self.result_batches = 0
        self.calls: Counter[tuple[int, int]] = Counter()
        self.busy: Counter[tuple[int, int]] = Counter()
        self.call_seconds: dict[int, float] = {}
        self.feeders: dict[int, tuple[Place, int]] = {}
        self.has_room = Condition(lock)
        self._last_token = 0
        # Of pickled events; counted as they come, since every look of a worker asks for them.
        self._queued_events = self._queued_bytes = 0

    def add(self, task: SerializedTask, *, is_new: bool = True) -> None:
        """Queue a task, and wake a worker for it.

        Args:
            task: the task; one for a worker that was evicted is dropped.
            is_new: whether to count it as unfinished; a task that is returned is counted already.
        """
        place = task.place
        if isinstance(place, int) and place not in self.queues:
            return
        self.queues[place].add(task)
        if task.pe is not None and is_new:
            self.unfinished[task.pe] += 1
        if place is None:
            self.members.wake_next()
        else:
            self.members.wake(place if isinstance(place, int) else self.instances[place].owner)

    def lease(self, rank: int, place: Place) -> list[tuple[int, SerializedTask]]:
        """Lease the first task of a place to a worker, if there is one."""
        waiting = self.queues[place].waiting
        if not waiting:
            return []
        task = waiting.popleft()
        self._last_token += 1
        self.leases[self._last_token] = rank, task
        return [(self._last_token, task)]

    def update_lease(self, token: int, **changes: object) -> None:
        """Replace fields of a leased task."""
        rank, task = self.leases[token]
        self.leases[token] = rank, task._replace(**changes)  # type: ignore[arg-type]

    def end(self, task: SerializedTask) -> None:
        """Count a task as finished."""
        if task.pe is not None:
            self.unfinished[task.pe] -= 1
            if not self.unfinished[task.pe] and task.pe in self.watched:
                self.emit(task.pe)

    def queued(self, place: Place) -> int:
        """Return the tasks that a feeder counts: an instance's, or shared ones that wait."""
        queue = self.queues[place]
        return len(queue.waiting) if place is None else queue.length

    def wake_feeders(self) -> None:
        """Wake feeders that wait for room in a queue where there is some now."""
        roomy = [
            root for root, (place, limit) in self.feeders.items() if self.queued(place) < limit
        ]
        for root in roomy:
            del self.feeders[root]
        if roomy:
            self.has_room.notify_all()

    def emit(self, event: bytes | int) -> None:
        """Queue an event for the driver."""
        self.events.append(event)
        if isinstance(event, bytes):
            self._queued_events += 1
            self._queued_bytes += len(event)
        self.happened.notify_all()

    def take_events(self) -> list[bytes | int]:
        """Remove all events, and return them."""
        events = [*self.events]
        self.events.clear()
        self._queued_events = self._queued_bytes = 0
        return events

    def status(
        self,
        rank: int,
        pins: Iterable[InstanceId],
        limits: StoreLimits,
        divisor: int = 1,
        receivers: Iterable[int] = (),
    ) -> StoreStatus:
        """Return the store's status, as a worker sees it.

        Args:
            rank: number of the worker.
            pins: instances to check for `StoreStatus.full`.
            limits: the store's limits.
            divisor: what to divide the limits by.
            receivers: PEs for `StoreStatus.call_seconds`.
        """
        length, size = limits.queue_length // divisor, limits.queue_bytes // divisor
        full = tuple(pin for pin in pins if self.queues[pin].is_over(length, size))
        too_many = self._queued_events > limits.result_batches // divisor
        too_large = self._queued_events > 1 and self._queued_bytes > size
        backlog = len(self.queues[None].waiting)
        idle = len(self.members.idle - {rank}) + len(self.members.paused - {rank})
        seconds = self.call_seconds
        known = tuple((pe, seconds[pe]) for pe in receivers if pe in seconds)
        return StoreStatus(idle, full, too_many or too_large, backlog=backlog, call_seconds=known)
