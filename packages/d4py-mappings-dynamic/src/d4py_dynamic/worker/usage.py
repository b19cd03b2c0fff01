"""What a worker has done since its last commit: calls and seconds per PE, and replicas it made."""

from __future__ import annotations

from collections.abc import Iterator

from d4py_dynamic.store.protocols import UndeclaredState
from d4py_dynamic.store.tasks import Commit
from dispel4py.engine.executor import Executor
from dispel4py.engine.plan import Plan


class UsageReport:
    """Counts what commits are to tell.

    Args:
        plan: the plan; shared PEs have one instance in it.
        pinned: by PE number: its instances are pinned.

    Attributes:
        replicas: PEs with a postprocess of which this worker has a replica.
    """

    def __init__(self, plan: Plan, pinned: list[bool]) -> None:
        self._plan = plan
        self._pinned = pinned
        self._counted: dict[int, tuple[int, float]] = {}
        self._told: set[int] = set()
        self._told_changed: set[UndeclaredState] = set()
        self.replicas: set[int] = set()

    def changed(self, executor: Executor) -> Iterator[UndeclaredState]:
        """Return what PEs were found to do that do not say that they keep state; each once."""
        for entry in executor.stats:
            if entry.changed or entry.files:
                changed = UndeclaredState(entry.pe_id, entry.rank, entry.changed, entry.files)
                if changed not in self._told_changed:
                    self._told_changed.add(changed)
                    yield changed

    def add_to(self, commit: Commit, executor: Executor) -> None:
        """Tell what was done since the last time, and which replicas there are now."""
        for pe, entry in executor.stats_by_pe():
            counted = self._counted.get(id(entry), (0, 0.0))
            if entry.items > counted[0]:
                calls, seconds = entry.items - counted[0], entry.seconds - counted[1]
                commit.counters.append((pe, calls, seconds))
                self._counted[id(entry)] = (entry.items, entry.seconds)
            if pe not in self._told and not self._pinned[pe]:
                self._told.add(pe)
                planned = self._plan.pes[pe]
                if planned.has_preprocess or planned.has_postprocess:
                    commit.replicas.append(pe)
                if planned.has_postprocess:
                    self.replicas.add(pe)
