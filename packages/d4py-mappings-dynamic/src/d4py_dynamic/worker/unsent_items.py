"""Items of a commit that cannot be sent: they are left out, as failures of their writers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from d4py_dynamic.store.entries import limited_dumps
from d4py_dynamic.store.tasks import ITEMS, Commit, Task
from dispel4py.engine.calls.unsent_items import (
    drop_unpicklable,
    unpicklable_item_error,
    unpicklable_result_error,
    without_unpicklable,
)
from dispel4py.engine.planning.plan import Plan
from dispel4py.errors import ItemError, ProcessingError
from dispel4py.result import Failure


def leave_out_unsent(
    plan: Plan, commit: Commit, *, skips: bool, largest: int | None = None
) -> None:
    """Leave out of a commit what cannot be pickled, and of its failures their items.

    Args:
        plan: the plan.
        commit: the commit.
        skips: such items are skipped; they become failures of the same commit.
        largest: see `TaskStore`.

    Raises:
        ProcessingError: there is one, and it is not to be skipped.
    """
    dumps = limited_dumps(largest)
    sifted = _Sifted(plan, dumps, skips)
    commit.tasks = [task for task in map(sifted.task, commit.tasks) if task is not None]
    commit.results = [sifted.results(*results) for results in commit.results]
    commit.failures = without_unpicklable(commit.failures, dumps) + sifted.failures


class _Sifted:
    def __init__(self, plan: Plan, dumps: Callable[[Any], bytes], skips: bool) -> None:
        self.failures: list[Failure] = []
        self._plan = plan
        self._dumps = dumps
        self._skips = skips

    def task(self, task: Task) -> Task | None:
        """Return a task without the items that cannot be pickled; None if there are no others."""
        if task.kind != ITEMS:
            return task
        pe, name, writers = task.pe, task.input_name or "", range(len(self._plan.pes))

        def refuse(error: ItemError) -> None:
            self._refuse(unpicklable_item_error(self._plan, pe, name, writers, error))

        load = drop_unpicklable(task.payload, self._dumps, refuse)
        return task._replace(payload=load) if load else None

    def results(self, pe_id: str, output: str, items: list[Any]) -> tuple[str, str, list[Any]]:
        """Do the same with results."""

        def refuse(error: ItemError) -> None:
            self._refuse(unpicklable_result_error(self._plan, pe_id, output, error))

        return pe_id, output, drop_unpicklable(items, self._dumps, refuse)

    def _refuse(self, error: ProcessingError) -> None:
        if not self._skips:
            raise error
        self.failures.append(Failure(error))
