"""Pauses roots that are too far ahead of an ordered input, whose buffer they would fill.

The missing item may be one that waits for others, to become a batch.  A root that pauses makes no
more of them, so such items wait no longer then.
"""

from __future__ import annotations

from collections.abc import Callable

from d4py_fixed.engine.frames import PauseRoots
from d4py_fixed.engine.placement import Instance, Placement, observes_pauses
from dispel4py.engine.planning.plan import Ancestors

#: (PE number, instance) with an ordered input → the roots that are too far ahead of it.
_RootsAhead = dict[Instance, tuple[int, ...]]


class RootPauses:
    """The pauses that one rank has requested, and those that it has to observe.

    Nothing but roots is paused: the missing item comes from this very root, so all that it may be
    waiting for is further down the graph, and goes on.

    Args:
        placement: the plan, and which rank runs what.
        rank: number of this rank.
        send: sends a frame to another rank.

    Attributes:
        at_once: numbers of the PEs whose items do not wait for others now.
    """

    def __init__(
        self, placement: Placement, rank: int, send: Callable[[int, PauseRoots], object]
    ) -> None:
        self._placement = placement
        self._rank = rank
        self._send = send
        self._ancestors = Ancestors(placement.plan)
        self._observing = {pe.index for pe in placement.plan.pes if observes_pauses(pe)}
        self._requested: _RootsAhead = {}
        self._observed: _RootsAhead = {}
        self.at_once: set[int] = set()

    def __bool__(self) -> bool:
        """Return whether any root is paused, by the frames that this rank has received."""
        return bool(self._observed)

    def request(self, roots_ahead: _RootsAhead) -> None:
        """Request what has changed: pauses for these roots, and the end of all others."""
        if roots_ahead == self._requested:
            return
        before, self._requested = self._requested, roots_ahead
        for instance in before | roots_ahead:
            roots = roots_ahead.get(instance, ())
            if before.get(instance, ()) != roots:
                frame = PauseRoots(*instance, roots)
                for rank in self._ranks_upstream(instance):
                    self._send(rank, frame)
                self.observe(frame)

    def observe(self, frame: PauseRoots) -> None:
        """Observe a request."""
        if frame.roots:
            self._observed[frame.pe, frame.instance] = frame.roots
        else:
            self._observed.pop((frame.pe, frame.instance), None)
        self.at_once = {pe for instance in self._observed for pe in self._upstream(instance)}

    def is_paused(self, pe: int) -> bool:
        """Return whether a root is paused."""
        return any(pe in roots for roots in self._observed.values())

    def _upstream(self, instance: Instance) -> set[int]:
        return self._observing & self._ancestors[instance[0]]

    def _ranks_upstream(self, instance: Instance) -> set[int]:
        """Return the other ranks upstream of an instance that have to know of its pauses."""
        return self._placement.ranks_of(self._upstream(instance)) - {self._rank}
