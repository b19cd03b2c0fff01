"""Backpressure: what a worker that has sent more than receivers can take has to wait for.

A wait gives the worker leases to process meanwhile: tasks that only this worker can do, and that do
not make the wait longer.
"""

from __future__ import annotations

from time import sleep

from d4py_dynamic.store.protocols import TaskStore
from d4py_dynamic.store.tasks import InstanceId, Lease, StoreStatus
from d4py_dynamic.worker.inbox import Inbox
from d4py_dynamic.worker.lease_run import RunStack, Wait
from d4py_dynamic.worker.limits import WorkerLimits
from dispel4py.engine.planning.plan import Ancestors, Plan


class Backpressure:
    """Keeps which receivers are behind, and what has to wait for them.

    Args:
        plan: the plan.
        store: returns the queue lengths of the receivers.
        inbox: leases to process meanwhile.
        stack: the leases being processed.
        limits: of the worker.

    Attributes:
        overfull: instances that were behind when this worker last looked.
    """

    def __init__(
        self, plan: Plan, store: TaskStore, inbox: Inbox, stack: RunStack, limits: WorkerLimits
    ) -> None:
        self.overfull: set[InstanceId] = set()
        self._plan = plan
        self._store = store
        self._inbox = inbox
        self._stack = stack
        self._limits = limits
        self._upstream = Ancestors(plan)
        self._position = {pe: i for i, pe in enumerate(plan.order)}
        ordered = [pe for pe in plan.pes if pe.ordered]
        self._ordered = {
            root.index: tuple((pe.index, i) for pe in ordered for i in range(pe.instances))
            for root in plan.roots
            if any(root.index in self._upstream[pe.index] for pe in ordered)
        }

    def note(self, status: StoreStatus) -> None:
        """Take note of receivers that are behind after a commit."""
        self.overfull.update(status.full)

    def after(self, status: StoreStatus) -> Wait | None:
        """Return what a lease has to wait for after a commit in the middle of it.

        A wait at the deepest level is left to the leases further out.
        """
        is_deepest = len(self._stack) >= self._plan.limits.nested_calls
        if is_deepest or not (status.full or status.results_full):
            return None
        return self._wait({*status.full})

    def between_leases(self, status: StoreStatus) -> Wait | None:
        """Return what a worker has to wait for before its next lease, after its last commit."""
        if not (self.overfull or status.results_full):
            return None
        return self._wait(None)

    def _wait(self, awaited: set[InstanceId] | None) -> Wait:
        return ReceiverWait(self, self._store, self._inbox, self._limits, awaited)

    def of_root(self, root: int) -> Wait | None:
        """Return what a root has to wait for if it is too far ahead of an ordered input.

        What the root has sent is committed.
        """
        pins = self._ordered.get(root)
        if pins is None or self._stack.pes != [root]:
            return None
        return OrderedInputWait(self._store, self._inbox, root, pins)

    def startable(self) -> list[InstanceId]:
        """Return instances of this worker that may be worked on while others are overfull.

        They are not upstream of those, and further down the graph than all that is processed.
        """
        upstream = frozenset[int]().union(*(self._upstream[pe] for pe, _ in self.overfull))
        deepest = max((self._position[pe] for pe in self._stack.pes), default=-1)
        return [
            (pe, instance)
            for pe, instance in self._inbox.instances
            if self._position[pe] > deepest
            and pe not in upstream
            and not self._plan.pes[pe].is_root
        ]


class ReceiverWait:
    """A wait until receivers have caught up, and the caller of the run with its results.

    No worker waits for ever.  Of all overfull instances take the one furthest down the graph.  It
    is not upstream of another one.  All leases that its owner has begun are further up, since they
    were begun in that order, and the last of them waits for something further down than itself.  So
    the owner, if it waits too, processes the tasks of that instance here.

    Args:
        backpressure: which receivers are behind.
        store: returns their queue lengths.
        inbox: leases to process meanwhile.
        limits: of the worker.
        awaited: the receivers; None for all that are behind.
    """

    def __init__(
        self,
        backpressure: Backpressure,
        store: TaskStore,
        inbox: Inbox,
        limits: WorkerLimits,
        awaited: set[InstanceId] | None,
    ) -> None:
        self._backpressure = backpressure
        self._store = store
        self._inbox = inbox
        self._limits = limits
        self._awaited = awaited
        self._has_overfull = False
        self._pause = limits.shortest_pause

    def is_over(self) -> bool:
        """See `Wait`."""
        overfull = self._backpressure.overfull
        status = self._store.status(tuple(overfull))
        overfull.intersection_update(status.full)
        awaited = overfull if self._awaited is None else self._awaited & overfull
        self._has_overfull = bool(awaited)
        return not awaited and not status.results_full

    def next_lease(self) -> Lease | None:
        """See `Wait`."""
        startable = self._backpressure.startable() if self._has_overfull else []
        lease = self._inbox.next_of(startable)
        if lease is not None:
            self._pause = self._limits.shortest_pause
        else:
            sleep(self._pause)
            self._pause = min(2 * self._pause, self._limits.longest_pause)
        return lease


class OrderedInputWait:
    """A wait until ordered inputs have caught up with a root.

    No worker waits for ever.  The input waits for an item that comes from this root, so whatever
    may be behind is further down the graph; and all leases there, any worker goes on with here.

    Args:
        store: returns how far the inputs have come.
        inbox: leases to process meanwhile.
        root: number of the root.
        pins: the instances with ordered inputs below the root.
    """

    def __init__(
        self, store: TaskStore, inbox: Inbox, root: int, pins: tuple[InstanceId, ...]
    ) -> None:
        self._store = store
        self._inbox = inbox
        self._root = root
        self._pins = pins

    def is_over(self) -> bool:
        """See `Wait`."""
        return not any(self._root in at.ahead for at in self._store.positions(self._pins))

    def next_lease(self) -> Lease | None:
        """See `Wait`."""
        return self._inbox.next_below(self._root)
