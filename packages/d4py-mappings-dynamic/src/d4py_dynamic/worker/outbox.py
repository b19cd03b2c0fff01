"""What a worker's lease has produced so far and has not been committed yet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from d4py_dynamic.store.tasks import ANY, CALLS, ITEMS, Commit, Lease, Task
from dispel4py.engine.executor import Batch
from dispel4py.engine.failures import failure_bytes
from dispel4py.engine.inputs import CallRange
from dispel4py.engine.sizes import estimate_bytes
from dispel4py.result import Failure

#: Weight, about in bytes, beyond which an outbox should be committed.
HEAVY = 1 << 20
#: Tasks that a batch of shared items is cut into, per worker that waits for work.
_PIECES_PER_IDLE_WORKER = 2


def pieces(items: Batch, idle: int) -> list[Any]:
    """Cut what any worker may have, so that each of those that wait for work gets some."""
    size = -(-len(items) // max(1, _PIECES_PER_IDLE_WORKER * idle))
    return [items[i : i + size] for i in range(0, len(items), max(1, size))]


class Outbox:
    """Gathers tasks, results and failures, and makes a `Commit` of them.

    Attributes:
        weight: about how many bytes it holds.
        least_heavy: so many are not heavy yet; what is committed along with them is as large.
    """

    def __init__(self) -> None:
        self.least_heavy = 0
        self.weight = 0
        self._items: dict[tuple[int, int, str], list[Any]] = {}
        self._calls: list[tuple[int, CallRange]] = []
        self._tasks: list[Task] = []
        self._results: dict[tuple[str, str], list[Any]] = {}
        self._failures: list[Failure] = []

    @property
    def heavy(self) -> bool:
        return self.weight > max(HEAVY, self.least_heavy)

    @property
    def is_empty(self) -> bool:
        return not (self._items or self._calls or self._tasks or self._results or self._failures)

    def add_items(
        self, pe: int, instance: int, input_name: str, items: list[Any], size: int | None = None
    ) -> None:
        """Add items for a pinned instance, or for `ANY` worker; `size` in bytes, if it is known."""
        self._items.setdefault((pe, instance, input_name), []).extend(items)
        self.weight += estimate_bytes(items) if size is None else size

    def give_away(self, pe: int, input_name: str | None, items: Batch) -> None:
        """Add items, or calls of a root, that any worker may take from this one."""
        if isinstance(items, CallRange):
            self._calls.append((pe, items))
        else:
            self.add_items(pe, ANY, input_name or "", items)

    def add_task(self, task: Task) -> None:
        self._tasks.append(task)

    def add_results(
        self, pe_id: str, output: str, items: list[Any], size: int | None = None
    ) -> None:
        """Add results; `size` as for items."""
        self._results.setdefault((pe_id, output), []).extend(items)
        self.weight += estimate_bytes(items) if size is None else size

    def add_failure(self, failure: Failure) -> None:
        self._failures.append(failure)
        self.weight += failure_bytes(failure)

    def take(self, leases: Sequence[Lease], idle: int) -> Commit:
        """Everything gathered, as a commit that ends these leases; the outbox is empty then.

        Args:
            leases: what is done.
            idle: number of workers that wait for work; shared items are cut so that each of
                them gets some.
        """
        tasks = self._tasks
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
        self.__init__()  # type: ignore[misc]
        return commit
