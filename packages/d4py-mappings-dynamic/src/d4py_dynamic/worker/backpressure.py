"""Backpressure: a worker that has sent more than receivers can take waits until they caught up.

Meanwhile it does what only it can do: tasks of the instances that it owns.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from time import sleep
from typing import Protocol

from d4py_dynamic.store.protocols import TaskStore
from d4py_dynamic.store.tasks import InstanceId, Lease, StoreStatus
from dispel4py.engine.limits import EngineLimits
from dispel4py.engine.plan import Ancestors, Plan

#: Shortest and longest pause of a sender between two looks whether there is room again, in seconds.
_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.001, 0.02


class Meanwhile(Protocol):
    """What a worker does while it waits."""

    @property
    def leaving(self) -> bool:
        """Another worker will go on from here."""

    def next_lease(self, only: Sequence[InstanceId] | None) -> Lease | None:
        """The oldest lease of these instances; of everything if it is None."""

    def next_lease_below(self, pe: int) -> Lease | None:
        """Return the oldest lease of what is below a PE in the graph; wait a little for one."""

    def do(self, lease: Lease) -> None:
        """Do it to its end, or leave it for later."""

    def save_what_is_due(self, *, at_rest: bool, waits: bool) -> None:
        """Commit what pinned instances have done."""


class Backpressure:
    """Knows which receivers are behind, and waits for them.

    Args:
        plan: the plan.
        store: says who is behind.
        owned: the instances that the worker owns; changes as it goes.
        in_hand: PEs of the leases in hand, the outermost first; changes as it goes.
        worker: what is done meanwhile.
    """

    def __init__(
        self,
        plan: Plan,
        store: TaskStore,
        owned: Collection[InstanceId],
        in_hand: Sequence[int],
        worker: Meanwhile,
    ) -> None:
        self._plan = plan
        self._store = store
        self._owned = owned
        self._in_hand = in_hand
        self._worker = worker
        self._upstream = Ancestors(plan)
        self._position = {pe: i for i, pe in enumerate(plan.order)}
        ordered = [pe for pe in plan.pes if pe.ordered]
        self._ordered = {
            root.index: tuple((pe.index, i) for pe in ordered for i in range(pe.instances))
            for root in plan.roots
            if any(root.index in self._upstream[pe.index] for pe in ordered)
        }
        self._overfull: set[InstanceId] = set()
        self._waits_at: int | None = None

    def note(self, status: StoreStatus) -> None:
        """Take note of who is behind after a commit."""
        self._overfull.update(status.full)

    def wait(self, status: StoreStatus, *, at_end: bool) -> None:
        """Wait after a commit, if it has to be.

        Args:
            status: what the commit has shown.
            at_end: no lease goes on that has not ended.
        """
        if at_end and self._waits_at == len(self._in_hand):
            return  # who waits already sees to it
        if not self._in_hand:
            self._wait_for(self._overfull, status.results_full)
        elif not at_end and len(self._in_hand) < EngineLimits().nested_calls:
            self._wait_for(set(status.full), status.results_full)
        # Else a lease has ended that was done while another one waits, which sees to it.

    def hold(self, root: int) -> None:
        """Pause while a root is too far ahead of an ordered input; what it has sent is committed.

        Nobody waits for ever.  The input waits for an item that comes from this root, so whatever
        that may be behind is further down the graph; and all that is, any worker goes on with here.
        """
        pins = self._ordered.get(root)
        if pins is None or self._in_hand != [root]:
            return
        outer, self._waits_at = self._waits_at, len(self._in_hand)
        try:
            while not self._worker.leaving:
                if not any(root in at.ahead for at in self._store.positions(pins)):
                    return
                self._worker.save_what_is_due(at_rest=True, waits=False)
                lease = self._worker.next_lease_below(root)
                if lease is not None:
                    self._worker.do(lease)
        finally:
            self._waits_at = outer

    def _wait_for(self, awaited: set[InstanceId], results_full: bool) -> None:
        """Pause until receivers have caught up, doing what this worker owns meanwhile.

        Nobody waits for ever.  Of all overfull instances take the one furthest down the graph.  It
        is not upstream of another one.  Whatever its owner has in hand is further up: it was begun
        in that order, and the last of it waits for something further down than itself.  So the
        owner, if it waits too, does its tasks here.
        """
        if not awaited and not results_full:
            return
        outer, self._waits_at = self._waits_at, len(self._in_hand)
        try:
            self._pause(awaited)
        finally:
            self._waits_at = outer

    def _pause(self, awaited: set[InstanceId]) -> None:
        pause = _PAUSE_SECONDS
        while not self._worker.leaving:
            status = self._store.status(tuple(self._overfull))
            self._overfull.intersection_update(status.full)
            no_room = not self._overfull.isdisjoint(awaited)
            if not no_room and not status.results_full:
                return
            # What is done fills its instance until it is saved, and others may wait for that.
            self._worker.save_what_is_due(at_rest=True, waits=False)
            lease = self._worker.next_lease(self._startable() if no_room else ())
            if lease is not None:
                self._worker.do(lease)
                pause = _PAUSE_SECONDS
            else:
                sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)

    def _startable(self) -> list[InstanceId]:
        """Own instances that may be worked on while others are overfull.

        They are not upstream of those, and further down the graph than all that is in hand.
        """
        upstream = frozenset[int]().union(*(self._upstream[pe] for pe, _ in self._overfull))
        deepest = max((self._position[pe] for pe in self._in_hand), default=-1)
        return [
            (pe, instance)
            for pe, instance in self._owned
            if self._position[pe] > deepest
            and pe not in upstream
            and not self._plan.pes[pe].is_root
        ]
