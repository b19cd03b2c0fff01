"""The workers that use an `InMemoryStore`: which of them wait for tasks, and how they are woken.

Nothing here is thread-safe: the store holds its lock around every use.
"""

from __future__ import annotations

from threading import Condition, RLock


class Members:
    """Workers that have joined and were not evicted.

    Args:
        lock: the store's lock; every condition is on it.

    Attributes:
        idle: workers that wait for shared tasks, or are about to.
        paused: workers that wait, but for no shared tasks.
    """

    def __init__(self, lock: RLock) -> None:
        self._lock = lock
        self._joined = 0
        self._arrived: dict[int, Condition] = {}
        self._waiting: dict[int, None] = {}  # in the order in which they began to wait
        self.idle: set[int] = set()
        self.paused: set[int] = set()

    def __contains__(self, rank: int) -> bool:
        return rank in self._arrived

    def join(self) -> int:
        """Add a worker, which counts as idle until it has taken something; return its rank."""
        rank = self._joined
        self._joined += 1
        self._arrived[rank] = Condition(self._lock)
        self.idle.add(rank)
        return rank

    def remove(self, rank: int) -> bool:
        """Remove a worker, and wake it; return whether it was a member."""
        arrived = self._arrived.pop(rank, None)
        if arrived is None:
            return False
        arrived.notify_all()
        self.idle.discard(rank)
        self.paused.discard(rank)
        self._waiting.pop(rank, None)
        return True

    def wait(self, rank: int, seconds: float, *, shared: bool) -> None:
        """Wait until a worker is woken, or some seconds are over.

        Args:
            rank: the worker.
            seconds: how long to wait at most.
            shared: whether it waits for shared tasks too.
        """
        if shared:
            self.idle.add(rank)
            self._waiting[rank] = None
        else:
            self.idle.discard(rank)
            self.paused.add(rank)
        self._arrived[rank].wait(seconds)
        self._waiting.pop(rank, None)

    def wake(self, rank: int | None) -> None:
        """Wake a worker if it waits."""
        if rank in self._arrived:
            self._arrived[rank].notify()

    def wake_next(self) -> None:
        """Wake the worker that has waited longest for shared tasks; each is woken for one task."""
        if self._waiting:
            rank = next(iter(self._waiting))
            del self._waiting[rank]
            self._arrived[rank].notify()

    def wake_all(self) -> None:
        """Wake all workers."""
        for arrived in self._arrived.values():
            arrived.notify_all()
