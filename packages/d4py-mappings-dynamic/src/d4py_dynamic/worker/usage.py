"""What a worker has done since its last commit: calls and seconds per PE, and new replicas."""

from __future__ import annotations

from d4py_dynamic.store.protocols import UndeclaredState
from d4py_dynamic.store.tasks import Commit
from dispel4py.engine.execution.leased_executor import LeasedExecutor
from dispel4py.engine.planning.plan import Plan
from dispel4py.result import InstanceStats


class UsageReport:
    """Adds to each commit what the worker has done since the commit before.

    Args:
        plan: the plan; shared PEs have one instance in it.
        executor: counts the calls.

    Attributes:
        replicas: PEs with a postprocess of which this worker has a replica.
        changes: undeclared state of PEs, and files that instances share, to be reported.
    """

    def __init__(self, plan: Plan, executor: LeasedExecutor) -> None:
        self._plan = plan
        self._executor = executor
        self._reported: dict[int, tuple[int, float]] = {}
        self._reported_pes: set[int] = set()
        self._found_changes: set[UndeclaredState] = set()
        self.replicas: set[int] = set()
        self.changes: list[UndeclaredState] = []

    def find_changes(self) -> None:
        """Look for what has changed since the last commit."""
        for entry in self._executor.stats:
            if entry.changed or entry.files:
                self._note_changes(entry)

    def add_to(self, commit: Commit) -> None:
        """Add calls, seconds and replicas to a commit; look for changes as well."""
        for pe, entry in self._executor.stats_by_pe():
            if entry.changed or entry.files:
                self._note_changes(entry)
            calls, seconds = self._reported.get(id(entry), (0, 0.0))
            if entry.items > calls:
                commit.counters.append((pe, entry.items - calls, entry.seconds - seconds))
                self._reported[id(entry)] = (entry.items, entry.seconds)
            if pe not in self._reported_pes:
                self._reported_pes.add(pe)
                self._add_replica(commit, pe)

    def _add_replica(self, commit: Commit, pe: int) -> None:
        planned = self._plan.pes[pe]
        if planned.is_pinned:
            return
        if planned.has_preprocess or planned.has_postprocess:
            commit.replicas.append(pe)
        if planned.has_postprocess:
            self.replicas.add(pe)

    def _note_changes(self, entry: InstanceStats) -> None:
        """Take note of what an instance has changed; of each change once."""
        changed = UndeclaredState(entry.pe_id, entry.rank, entry.changed, entry.files)
        if changed not in self._found_changes:
            self._found_changes.add(changed)
            self.changes.append(changed)
