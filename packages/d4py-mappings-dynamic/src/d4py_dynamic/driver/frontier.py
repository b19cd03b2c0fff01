"""The frontier of a run: which PEs are complete, and which are to be postprocessed next.

A PE is complete when all PEs upstream of it are, none of its tasks is unfinished, and its instances
were postprocessed.  Completion is found by counting, without timeouts.  The term is that of Naiad
and timely dataflow, where a frontier separates what can still come from what is complete.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import Enum, auto

from dispel4py.engine.planning.plan import Plan


class _State(Enum):
    OPEN = auto()
    FINISHING = auto()
    COMPLETE = auto()


class Frontier:
    """Moves down the graph as PEs complete.

    Args:
        plan: the plan.
        feeding: roots that still get tasks from the driver; the caller removes them.
        finishing: PEs whose instances are being postprocessed already.
    """

    def __init__(self, plan: Plan, feeding: set[int], finishing: Iterable[int] = ()) -> None:
        self._plan = plan
        self._state = [_State.OPEN] * len(plan.pes)
        for pe in finishing:
            self._state[pe] = _State.FINISHING
        self.feeding = feeding

    @property
    def complete(self) -> bool:
        """Whether all PEs are complete."""
        return all(state is _State.COMPLETE for state in self._state)

    @property
    def finishing(self) -> list[int]:
        """PEs whose instances are being postprocessed."""
        return [pe for pe in self._plan.order if self._state[pe] is _State.FINISHING]

    @property
    def watched(self) -> list[int]:
        """PEs that get no more tasks: they are complete when their last task has ended."""
        return [
            pe
            for pe in self._plan.order
            if self._state[pe] is not _State.COMPLETE and self._fed(pe)
        ]

    def advance(self, unfinished: Mapping[int, int]) -> list[int]:
        """Move the frontier as far as the counts of unfinished tasks allow.

        Args:
            unfinished: unfinished tasks per PE, read after `watched`.

        Returns:
            PEs whose instances are to be postprocessed now; the caller puts a task for each.
        """
        to_finish: list[int] = []
        for pe in self._plan.order:
            if self._state[pe] is _State.COMPLETE or not self._fed(pe) or unfinished[pe]:
                continue
            planned = self._plan.pes[pe]
            if self._state[pe] is _State.OPEN and planned.has_end:
                self._state[pe] = _State.FINISHING
                to_finish.append(pe)
            else:
                self._state[pe] = _State.COMPLETE
        return to_finish

    def _fed(self, pe: int) -> bool:
        """Return whether a PE gets no more tasks."""
        upstream = self._plan.pes[pe].upstream
        return pe not in self.feeding and all(
            self._state[source] is _State.COMPLETE for source in upstream
        )
