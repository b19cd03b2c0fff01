"""The tasks of a run in the memory of one process: a store for the workers of one machine.

All methods are safe to call from many threads and keep the rules of `TaskStore`.  Tasks and events
are bytes here; nothing is unpickled.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from time import monotonic
from typing import NamedTuple

from d4py_dynamic.store.protocols import Load
from d4py_dynamic.store.tasks import (
    MOST_BYTES,
    MOST_RESULTS,
    MOST_WAITING,
    TURNS,
    InstanceId,
    ResumePoint,
    StoreStatus,
)
from dispel4py.errors import ServiceError

#: Where a task lies: a pinned instance, a worker's number, or None for what all workers share.
Place = InstanceId | int | None


class SerializedTask(NamedTuple):
    """A task as it lies here.

    Attributes:
        place: where it lies.
        pe: number of its PE; None if it counts nowhere.
        data: the task, pickled.
        position: see `Lease`.
        delivery_count: see `Lease`.
    """

    place: Place
    pe: int | None
    data: bytes
    position: ResumePoint = ResumePoint()
    delivery_count: int = 0


@dataclass
class SerializedCommit:
    """A `Commit` in bytes; leases by their tokens.

    Attributes:
        progressed: instances and tokens of leases.
        attempt: an instance or the token of a lease, and whether it is in a call.
        finished: PEs of which this worker's replica was postprocessed.
        result: results and failures, if there are any.
    """

    leases: list[int]
    states: list[tuple[InstanceId, bytes | None]]
    instance_positions: list[tuple[InstanceId, ResumePoint]]
    lease_positions: list[tuple[int, ResumePoint]]
    progressed: list[InstanceId | int]
    attempt: tuple[InstanceId | int, bool] | None
    tasks: list[SerializedTask]
    result: bytes | None
    counters: list[tuple[int, int, float]]
    replicas: list[int]
    orphans: list[tuple[int, bytes]]
    finished: list[int]


class SerializedInstance(NamedTuple):
    """An `AdoptedInstance` in bytes."""

    state: bytes | None
    position: ResumePoint
    leases: list[tuple[int, SerializedTask]]
    delivery_count: int


@dataclass
class _Queue:
    """The tasks at one place; their number and size include those that were taken."""

    waiting: deque[SerializedTask] = field(default_factory=deque)
    length: int = 0
    size: int = 0

    def add(self, packed: SerializedTask) -> None:
        self.waiting.append(packed)
        self.length += 1
        self.size += len(packed.data)

    def end(self, packed: SerializedTask) -> None:
        self.length -= 1
        self.size -= len(packed.data)

    def is_over(self, length: int, size: int) -> bool:
        return self.length > length or (self.size > size and self.length > 1)


@dataclass
class _Kept:
    """What is kept of a pinned instance beside its tasks."""

    owner: int | None = None
    state: bytes | None = None
    position: ResumePoint = field(default_factory=ResumePoint)
    delivery_count: int = 0


class InMemoryStore:
    """Tasks, leases, states and counts.

    Args:
        pes: number of PEs.
        most_waiting: tasks of a pinned instance beyond which it is full.
        most_results: batches of results beyond which workers pause.
    """

    def __init__(
        self, pes: int, most_waiting: int = MOST_WAITING, most_results: int = MOST_RESULTS
    ) -> None:
        self._most_waiting, self._most_results = most_waiting, most_results
        self._lock = threading.RLock()
        self._joined = 0
        self._arrived: dict[int, threading.Condition] = {}
        self._happened = threading.Condition(self._lock)
        self._queues: dict[Place, _Queue] = {None: _Queue()}
        self._kept: dict[InstanceId, _Kept] = {}
        self._leases: dict[int, tuple[int, SerializedTask]] = {}
        self._next_token = 0
        self._unfinished = Counter(dict.fromkeys(range(pes), 0))
        self._watched: set[int] = set()
        self._idle: set[int] = set()
        self._paused: set[int] = set()
        self._waiting: dict[int, None] = {}
        self._turn = 0
        self._attempts: dict[int, tuple[InstanceId | int, bool]] = {}
        self._replicas: set[tuple[int, int]] = set()
        self._orphans: dict[int, list[bytes]] = {}
        self._events: deque[bytes | int] = deque()
        self._results_made = 0
        self._calls: Counter[tuple[int, int]] = Counter()
        self._busy: Counter[tuple[int, int]] = Counter()
        self._closed: str | None = None

    # For workers.

    def take(
        self,
        rank: int,
        only: Sequence[InstanceId] | None,
        seconds: float,
        shared: bool,
        pinned: bool,
    ) -> list[tuple[int, SerializedTask]]:
        """See `TaskStore.take`."""
        with self._lock:
            self._check(rank)
            if only is not None:
                return self._take_from(rank, [rank, *only])
            until = monotonic() + seconds
            taken = self._take_any(rank, shared, pinned)
            while not taken and (left := until - monotonic()) > 0:
                if shared:
                    self._idle.add(rank)
                    self._waiting[rank] = None
                else:
                    self._idle.discard(rank)
                    self._paused.add(rank)
                self._arrived[rank].wait(left)
                self._waiting.pop(rank, None)
                self._check(rank)
                taken = self._take_any(rank, shared, pinned)
            self._idle.discard(rank)
            self._paused.discard(rank)
            if taken and all(packed.pe is None for _, packed in taken):
                self._idle.add(rank)  # control messages are handled in no time
            if self._queues[None].waiting:
                self._wake()  # whom this one was woken instead of
            return taken

    def adopt(self, rank: int, pin: InstanceId) -> SerializedInstance:
        """See `TaskStore.adopt`."""
        with self._lock:
            self._check(rank)
            kept = self._kept_of(pin)
            kept.owner = rank
            leases = []
            for token, (_, packed) in sorted(self._leases.items()):
                if packed.place == pin:
                    self._leases[token] = (rank, packed)
                    leases.append((token, packed))
            if leases:
                self._idle.discard(rank)
            return SerializedInstance(kept.state, kept.position, leases, kept.delivery_count)

    def commit(self, rank: int, commit: SerializedCommit) -> StoreStatus:
        """See `TaskStore.commit`."""
        with self._lock:
            self._check(rank)
            for token in [*commit.leases, *(token for token, _ in commit.lease_positions)]:
                if self._leases.get(token, (None,))[0] != rank:
                    raise ServiceError("a task of this worker was given to another one")
            for packed in commit.tasks:
                self._add(packed)
            if commit.result is not None:
                self._results_made += 1
                self._happen(commit.result)
            for pe, calls, seconds in commit.counters:
                self._calls[pe, rank] += calls
                self._busy[pe, rank] += int(seconds * 1e6)
            self._replicas.update((pe, rank) for pe in commit.replicas)
            self._replicas.difference_update((pe, rank) for pe in commit.finished)
            for pe, state in commit.orphans:
                self._orphans.setdefault(pe, []).append(state)
                self._replicas.discard((pe, rank))
            for pin, kept_state in commit.states:
                kept = self._kept_of(pin)
                kept.owner, kept.state = rank, kept_state
                if kept_state is None:
                    kept.position = ResumePoint(0, None)
            for pin, position in commit.instance_positions:
                self._kept[pin].position = position
            for token, position in commit.lease_positions:
                packed = self._leases[token][1]
                self._leases[token] = (rank, packed._replace(position=position))
            for delivery in commit.progressed:
                if isinstance(delivery, int):
                    packed = self._leases[delivery][1]
                    self._leases[delivery] = (rank, packed._replace(delivery_count=0))
                else:
                    self._kept[delivery].delivery_count = 0
            self._attempts.pop(rank, None)
            if commit.attempt is not None:
                self._attempts[rank] = commit.attempt
            for token in commit.leases:
                _, packed = self._leases.pop(token)
                self._queue(packed.place).end(packed)
                self._end(packed)
            pins = {packed.place for packed in commit.tasks if isinstance(packed.place, tuple)}
            return self._status(sorted(pins), 1)

    def status(self, rank: int, watched: Sequence[InstanceId]) -> StoreStatus:
        """See `TaskStore.status`."""
        with self._lock:
            self._check(rank)
            # Half the limit, so that a paused sender does not start and stop at every task.
            return self._status(watched, 2)

    def positions(self, rank: int, pins: Sequence[InstanceId]) -> list[ResumePoint]:
        """Return positions; see `TaskStore.positions`."""
        with self._lock:
            self._check(rank)
            return [self._kept_of(pin).position for pin in pins]

    def send_event(self, rank: int, event: bytes) -> None:
        """An event for the driver."""
        with self._lock:
            self._check(rank)
            self._happen(event)

    # For the driver.

    def join(self) -> int:
        """See `RunStore.join`."""
        with self._lock:
            rank = self._joined
            self._joined += 1
            self._arrived[rank] = threading.Condition(self._lock)
            self._queues[rank] = _Queue()
            self._idle.add(rank)
            return rank

    def put(
        self, tasks: Iterable[SerializedTask], orphans: Iterable[tuple[int, bytes]] = ()
    ) -> None:
        """See `RunStore.put` and `RunStore.finish`."""
        with self._lock:
            for packed in tasks:
                self._add(packed)
            for pe, replica in orphans:
                self._orphans[pe].remove(replica)

    def evict(
        self, rank: int, pins: Iterable[InstanceId], *, count_delivery: bool = True
    ) -> tuple[list[SerializedTask], list[int], list[tuple[InstanceId, int]], bool]:
        """See `RunStore.evict`; the fields of an `Eviction`."""
        with self._lock:
            arrived = self._arrived.pop(rank, None)
            if arrived is None:
                return [], [], [], False
            arrived.notify_all()
            attempt, in_call = self._attempts.pop(rank, (None, True))

            def counted(delivery: InstanceId | int, before: int) -> int:
                return max(before, 1) + (delivery == attempt) if count_delivery else before

            for ranks in (self._idle, self._paused):
                ranks.discard(rank)
            self._waiting.pop(rank, None)
            given_back = []
            at_work = set()
            for token, (owner, packed) in sorted(self._leases.items()):
                if owner == rank and isinstance(packed.place, tuple):
                    at_work.add(packed.place)
                elif owner == rank:
                    del self._leases[token]
                    if packed.place is None:
                        again = packed._replace(
                            delivery_count=counted(token, packed.delivery_count)
                        )
                        given_back.append(again)
                        self._queues[None].end(packed)
                        self._add(again, is_new=False)
                    else:
                        self._end(packed)
            for packed in self._queues.pop(rank).waiting:
                self._end(packed)
            for pin in pins:
                self._kept_of(pin).owner = None
            for pin in at_work:
                self._kept[pin].delivery_count = counted(pin, self._kept[pin].delivery_count)
            replicas = sorted(pe for pe, owner in self._replicas if owner == rank)
            self._replicas.difference_update((pe, rank) for pe in replicas)
            pins_at_work = [(pin, self._kept[pin].delivery_count) for pin in sorted(at_work)]
            return given_back, replicas, pins_at_work, not in_call

    def queue_length(self, pin: InstanceId) -> int:
        """See `RunStore.queue_length`."""
        with self._lock:
            return self._queue(pin).length

    def load(self) -> Load:
        """See `RunStore.load`."""
        with self._lock:
            backlog = len(self._queues[None].waiting)
            return Load(backlog, frozenset(self._idle), frozenset(self._paused))

    def events(self, seconds: float) -> list[bytes | int]:
        """What has happened: events, and numbers of PEs that are drained."""
        with self._lock:
            self._happened.wait_for(lambda: self._events, seconds)
            events = [*self._events]
            self._events.clear()
            return events

    def unfinished(self, watched: Iterable[int]) -> dict[int, int]:
        """See `RunStore.unfinished`."""
        with self._lock:
            self._watched.update(watched)
            return dict(self._unfinished)

    @property
    def results_made(self) -> int:
        """Batches of results that were committed."""
        with self._lock:
            return self._results_made

    def replicas(self, pe: int) -> list[int]:
        """See `RunStore.replicas`."""
        with self._lock:
            return sorted(rank for number, rank in self._replicas if number == pe)

    def orphans(self, pe: int) -> list[bytes]:
        """See `RunStore.orphans`."""
        with self._lock:
            return [*self._orphans.get(pe, [])]

    def counters(self) -> list[tuple[int, int, int, float]]:
        """PE number, worker, calls and seconds."""
        with self._lock:
            return [
                (pe, rank, calls, self._busy[pe, rank] / 1e6)
                for (pe, rank), calls in sorted(self._calls.items())
            ]

    def close(self, why: str = "the run is over") -> None:
        """Answer nobody any more."""
        with self._lock:
            self._closed = why
            for arrived in self._arrived.values():
                arrived.notify_all()

    # Under the lock.

    def _check(self, rank: int) -> None:
        if self._closed is not None:
            raise ServiceError(self._closed)
        if rank not in self._arrived:
            raise ServiceError(f"worker {rank} was given up, and others do its tasks")

    def _queue(self, place: Place) -> _Queue:
        return self._queues.setdefault(place, _Queue())

    def _add(self, packed: SerializedTask, *, is_new: bool = True) -> None:
        if isinstance(packed.place, int) and packed.place not in self._queues:
            return  # for a worker that was given up
        self._queue(packed.place).add(packed)
        if packed.pe is not None and is_new:
            self._unfinished[packed.pe] += 1
        if packed.place is None:
            self._wake()
        else:
            reader = packed.place
            owner = reader if isinstance(reader, int) else self._kept_of(reader).owner
            if owner in self._arrived:
                self._arrived[owner].notify()

    def _wake(self) -> None:
        """Wake who waits longest for a shared task; nobody is woken twice for two of them."""
        if self._waiting:
            rank = next(iter(self._waiting))
            del self._waiting[rank]
            self._arrived[rank].notify()

    def _kept_of(self, pin: InstanceId) -> _Kept:
        return self._kept.setdefault(pin, _Kept())

    def _take_any(self, rank: int, shared: bool, pinned: bool) -> list[tuple[int, SerializedTask]]:
        # What only this worker can do comes first, but not each time: while it always has such
        # work, the rest would never have its turn.
        pins = [pin for pin, kept in self._kept.items() if pinned and kept.owner == rank]
        taken = self._take_from(rank, [rank, *pins])
        self._turn = (self._turn + 1) % TURNS
        if shared and (not taken or not self._turn):
            taken += self._take_from(rank, [None])
        return taken

    def _take_from(self, rank: int, places: Sequence[Place]) -> list[tuple[int, SerializedTask]]:
        """One task of each of these places."""
        taken = []
        for place in places:
            waiting = self._queue(place).waiting
            if waiting:
                packed = waiting.popleft()
                self._next_token += 1
                self._leases[self._next_token] = (rank, packed)
                taken.append((self._next_token, packed))
        return taken

    def _end(self, packed: SerializedTask) -> None:
        if packed.pe is not None:
            self._unfinished[packed.pe] -= 1
            if not self._unfinished[packed.pe] and packed.pe in self._watched:
                self._happen(packed.pe)

    def _happen(self, event: bytes | int) -> None:
        self._events.append(event)
        self._happened.notify_all()

    def _status(self, pins: Iterable[InstanceId], part: int) -> StoreStatus:
        """How things stand; limits are divided by `part`."""
        length, size = self._most_waiting // part, MOST_BYTES // part
        full = tuple(pin for pin in pins if self._queue(pin).is_over(length, size))
        results = [event for event in self._events if isinstance(event, bytes)]
        too_many = len(results) > self._most_results // part
        too_large = len(results) > 1 and sum(map(len, results)) > size
        backlog = len(self._queues[None].waiting)
        idle = max(0, len(self._idle) + len(self._paused) - backlog)
        return StoreStatus(idle, full, too_many or too_large, backlog=backlog)
