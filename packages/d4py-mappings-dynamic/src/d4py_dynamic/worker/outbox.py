"""The outbox of a lease: what it has produced and has not been committed yet.

A transactional outbox: its content becomes true in the same commit that ends the lease, or not at
all.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from d4py_dynamic.store.tasks import ANY, CALLS, ITEMS, Commit, Lease, Task
from d4py_dynamic.worker.limits import WorkerLimits
from dispel4py.engine.failures import failure_bytes
from dispel4py.engine.inputs import Batch, CallRange
from dispel4py.engine.items.sizes import estimate_bytes
from dispel4py.result import Failure

#: Tasks that a batch of shared items is cut into, per idle worker.
_PIECES_PER_WORKER = 2


def pieces(items: Batch, idle: int) -> list[Any]:
    """Cut shared items into tasks, so that each idle worker gets some."""
    size = -(-len(items) // max(1, _PIECES_PER_WORKER * idle))
    return [items[i : i + size] for i in range(0, len(items), max(1, size))]


class Outbox:
    """Gathers items, results and failures, and makes a `Commit` of them.

    Args:
        limits: of the worker.

    Attributes:
        weight: its size, about in bytes.
        state_bytes: size of the last state that was committed together with it; 0 after a commit
            without a state.
    """

    def __init__(self, limits: WorkerLimits = WorkerLimits()) -> None:
        self._limit = limits.outbox_bytes
        self._clear()

    def _clear(self) -> None:
        self.weight = self.state_bytes = 0
        self._items: dict[tuple[int, int, str], list[Any]] = {}
        self._calls: list[tuple[int, CallRange]] = []
        self._results: dict[tuple[str, str], list[Any]] = {}
        self._failures: list[Failure] = []

    @property
    def is_heavy(self) -> bool:
        """It should be committed: it is larger than the limit, and than the state."""
        return self.weight > max(self._limit, self.state_bytes)

    @property
    def is_empty(self) -> bool:
        """Nothing has been added since the last commit."""
        return not (self._items or self._calls or self._results or self._failures)

    def add_items(
        self, pe: int, instance: int, input_name: str, items: list[Any], size: int | None = None
    ) -> None:
        """Add items for a pinned instance, or for `ANY` worker; `size` in bytes, if it is known."""
        self._items.setdefault((pe, instance, input_name), []).extend(items)
        self.weight += estimate_bytes(items) if size is None else size

    def add_shared(self, pe: int, input_name: str | None, items: Batch) -> None:
        """Add items, or calls of a root, that any worker may process."""
        if isinstance(items, CallRange):
            self._calls.append((pe, items))
        else:
            self.add_items(pe, ANY, input_name or "", items)

    def add_results(
        self, pe_id: str, output: str, items: list[Any], size: int | None = None
    ) -> None:
        """Add results; `size` as for items."""
        self._results.setdefault((pe_id, output), []).extend(items)
        self.weight += estimate_bytes(items) if size is None else size

    def add_failure(self, failure: Failure) -> None:
        """Add an item that was skipped."""
        self._failures.append(failure)
        self.weight += failure_bytes(failure)

    def take_failures_of(self, pe_id: str) -> list[Failure]:
        """Remove the failures of one PE, and return them."""
        taken = [failure for failure in self._failures if failure.pe_id == pe_id]
        self._failures = [failure for failure in self._failures if failure.pe_id != pe_id]
        return taken

    def take(self, leases: Sequence[Lease], idle: int) -> Commit:
        """Return all content as a commit that ends these leases, and empty the outbox.

        Args:
            leases: the leases that have ended.
            idle: number of idle workers; shared items are cut so that each of them gets some.
        """
        tasks = []
        for (pe, instance, input_name), items in self._items.items():
            cut = [items] if instance != ANY else pieces(items, idle)
            tasks += [Task(ITEMS, pe, instance, input_name, piece) for piece in cut]
        for pe, calls in self._calls:
            tasks += [Task(CALLS, pe, ANY, None, piece) for piece in pieces(calls, idle)]
        commit = Commit(
            leases=list(leases),
            tasks=tasks,
            results=[(pe_id, name, items) for (pe_id, name), items in self._results.items()],
            failures=self._failures,
        )
        self._clear()
        return commit
