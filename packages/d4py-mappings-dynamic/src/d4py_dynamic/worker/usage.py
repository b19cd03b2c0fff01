"""What a worker has done since its last commit: calls and seconds per PE, and new replicas."""

from __future__ import annotations

from collections.abc import Iterator

from d4py_dynamic.store.protocols import UndeclaredState
from d4py_dynamic.store.tasks import Commit
from dispel4py.engine.leased_executor import LeasedExecutor
from dispel4py.engine.plan import Plan


class UsageReport:
    """Adds to each commit what the worker has done since the commit before.

    Args:
        plan: the plan; shared PEs have one instance in it.
        executor: counts the calls.

    Attributes:
        replicas: PEs with a postprocess of which this worker has a replica.
    """

    def __init__(self, plan: Plan, executor: LeasedExecutor) -> None:
        self._plan = plan
        self._executor = executor
        self._reported: dict[int, tuple[int, float]] = {}
        self._reported_pes: set[int] = set()
        self._reported_changes: set[UndeclaredState] = set()
        self.replicas: set[int] = set()

    def changed(self) -> Iterator[UndeclaredState]:
        """Return undeclared state of PEs, and files that instances share; each once."""
        for entry in self._executor.stats:
            if entry.changed or entry.files:
                changed = UndeclaredState(entry.pe_id, entry.rank, entry.changed, entry.files)
                if changed not in self._reported_changes:
                    self._reported_changes.add(changed)
                    yield changed

    def add_to(self, commit: Commit) -> None:
        """Add calls, seconds and replicas to a commit."""
        for pe, entry in self._executor.stats_by_pe():
            calls, seconds = self._reported.get(id(entry), (0, 0.0))
            if entry.items > calls:
                commit.counters.append((pe, entry.items - calls, entry.seconds - seconds))
                self._reported[id(entry)] = (entry.items, entry.seconds)
            planned = self._plan.pes[pe]
            if pe not in self._reported_pes and not planned.is_pinned:
                self._reported_pes.add(pe)
                if planned.has_preprocess or planned.has_postprocess:
                    commit.replicas.append(pe)
                if planned.has_postprocess:
                    self.replicas.add(pe)
