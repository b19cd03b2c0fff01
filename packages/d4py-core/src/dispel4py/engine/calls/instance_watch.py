"""`InstanceWatch`: what the statistics of an instance report about its PE, beside its calls.

This is undeclared state (rule I6), and files that another instance of the PE would overwrite.
"""

from __future__ import annotations

from math import inf
from typing import Any

from dispel4py.checks.undeclared_state import StateWatch, undeclared_state_error
from dispel4py.core import GenericPE
from dispel4py.engine.planning.plan import PlannedPE
from dispel4py.files.reachable_files import overwritable, reachable_files
from dispel4py.result import InstanceStats


class InstanceWatch:
    """Watches the PE of one instance.

    Args:
        planned: the PE in the plan.
        stats: gets what is found.
        strict: raise an error at undeclared state, or state in a class.

    Attributes:
        next_check: number of items after which to call `check_state`.
    """

    def __init__(self, planned: PlannedPE, stats: InstanceStats, *, strict: bool) -> None:
        self._planned = planned
        self._stats = stats
        self._strict = strict
        self._state: StateWatch | None = None
        self.next_check: float = inf

    def begin(self, pe: GenericPE) -> None:
        """Begin to watch a PE, which is preprocessed."""
        watch = StateWatch(pe, is_declared=not self._planned.is_watched)
        if watch.has_any:
            self._state = watch
            self.next_check = watch.next_check

    def check_state(self) -> None:
        """Check whether the PE has undeclared state; once it is found, there are no more checks.

        Raises:
            UndeclaredStateError: it has, and the run is strict.
        """
        assert self._state is not None
        changed = self._state.check(self._stats.items)
        self.next_check = self._state.next_check
        if changed:
            self._stats.changed = changed
            self._end()
            if self._strict:
                raise undeclared_state_error(self._planned.id, changed)

    def check_last_state(self) -> None:
        """Check the state once more, unless that is done; see `check_state`."""
        if self._state is not None:
            self.check_state()
            self._end()

    def note_files(self, pe: GenericPE) -> list[Any]:
        """Return the open files of the PE; note those that another instance would overwrite."""
        files = reachable_files(pe)
        if self._planned.is_watched:
            known = {place: name for name, place in self._stats.files} | overwritable(files)
            self._stats.files = tuple((name, place) for place, name in known.items())
        return files

    def _end(self) -> None:
        """Stop watching the state; nothing here refers to the PE any more."""
        self.next_check, self._state = inf, None
