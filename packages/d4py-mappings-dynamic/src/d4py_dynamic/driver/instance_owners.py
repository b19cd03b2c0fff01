"""Which worker owns which pinned instance."""

from __future__ import annotations

from collections.abc import KeysView, Sequence

from d4py_dynamic.store.protocols import RunStore
from d4py_dynamic.store.tasks import ASSIGN, InstanceId, Task


class InstanceOwners:
    """Assigns every pinned instance to one of the workers that there are.

    Args:
        store: the store, through which workers learn of their instances.
        unowned: instances that have no owner yet.
    """

    def __init__(self, store: RunStore, unowned: Sequence[InstanceId]) -> None:
        self._store = store
        self._unowned = list(unowned)
        self._instances: dict[int, list[InstanceId]] = {}

    @property
    def ranks(self) -> KeysView[int]:
        """The workers that there are."""
        return self._instances.keys()

    def owns(self, rank: int) -> bool:
        """Return whether a worker owns an instance."""
        return bool(self._instances.get(rank))

    def add_worker(self, rank: int) -> None:
        """Take a worker in; it owns nothing yet."""
        self._instances[rank] = []

    def remove_worker(self, rank: int) -> list[InstanceId]:
        """Take a worker out, if there is such a worker, and return the instances that it owned."""
        return self._instances.pop(rank, [])

    def release(self, pins: Sequence[InstanceId]) -> None:
        """Let instances have no owner, until `assign_unowned`."""
        self._unowned += pins

    def assign(self, rank: int, pins: Sequence[InstanceId]) -> None:
        """Have a worker own instances."""
        self._instances[rank] += pins
        self._store.put([Task(ASSIGN, pe, instance) for pe, instance in pins], rank)

    def assign_unowned(self) -> None:
        """Assign each instance without an owner to the worker that owns fewest."""
        while self._unowned and self._instances:
            owner = min(self._instances, key=lambda rank: (len(self._instances[rank]), rank))
            self.assign(owner, [self._unowned.pop(0)])
