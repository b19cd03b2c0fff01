"""The inbox: leases that a worker has taken and not processed yet, and control messages.

Control messages are carried out here as they come: they assign pinned instances to this worker,
pause and resume it, and end it.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from enum import Enum, auto
from math import inf
from time import monotonic

from d4py_dynamic.store.protocols import TaskStore
from d4py_dynamic.store.tasks import (
    ANY,
    ASSIGN,
    CONTROL_MESSAGES,
    DRAIN,
    PAUSE,
    STOP,
    Commit,
    InstanceId,
    Lease,
)
from d4py_dynamic.worker.lease_run import RunStack
from d4py_dynamic.worker.limits import WorkerLimits
from d4py_dynamic.worker.load import LoadMonitor
from d4py_dynamic.worker.pinned_instance import PinnedInstance
from dispel4py.engine.planning.plan import Plan
from dispel4py.errors import RunError


class WorkerState(Enum):
    """What a worker does, by its control messages."""

    #: It takes shared tasks and those of its pinned instances.
    ACTIVE = auto()
    #: It takes those of its pinned instances alone.
    PAUSED = auto()
    #: It ends as soon as its current lease allows; other workers go on with the rest.
    DRAINING = auto()
    #: It ends after its current lease, with the run.
    STOPPED = auto()


class Inbox:
    """Takes leases from the store, and keeps those that are not processed yet.

    Args:
        plan: the plan.
        store: the store.
        stack: the leases being processed.
        load: takes note of the load.
        interval: see `PinnedInstance`.
        limits: of the worker.
        on_idle: called before the worker waits for a lease; returns after how many seconds to call
            it again.

    Attributes:
        instances: the pinned instances that this worker owns.
        state: see `WorkerState`.
    """

    def __init__(
        self,
        plan: Plan,
        store: TaskStore,
        stack: RunStack,
        load: LoadMonitor,
        interval: float | None,
        limits: WorkerLimits,
        on_idle: Callable[[], float] = lambda: inf,
    ) -> None:
        self.instances: dict[InstanceId, PinnedInstance] = {}
        self.state = WorkerState.ACTIVE
        self._plan = plan
        self._store = store
        self._stack = stack
        self._load = load
        self._interval = interval
        self._limits = limits
        self._on_idle = on_idle
        self._leases: deque[Lease] = deque()
        self._takes_shared_first = False

    @property
    def is_active(self) -> bool:
        return self.state is WorkerState.ACTIVE

    @property
    def is_draining(self) -> bool:
        return self.state is WorkerState.DRAINING

    @property
    def is_ending(self) -> bool:
        return self.state in (WorkerState.DRAINING, WorkerState.STOPPED)

    def next(self) -> Lease | None:
        """Return the oldest lease; None if there is none for a while."""
        if self._takes_shared_first and self.is_active:
            self._take(None, 0.0, pinned=False)
            if self._leases and self._leases[-1].task.instance == ANY:
                return self._leases.pop()
            self._takes_shared_first = False
        if not self._leases:
            limits = self._limits
            seconds = limits.log_seconds if _has_other_threads() else limits.take_seconds
            self._take(None, min(seconds, self._on_idle()))
        return self._leases.popleft() if self._leases else None

    def next_of(self, pins: Sequence[InstanceId]) -> Lease | None:
        """Return the oldest lease of some pinned instances; None if there is none now."""
        lease = self._find(pins)
        if lease is None:
            self._take(pins)
            lease = self._find(pins)
        return lease

    def next_below(self, pe: int) -> Lease | None:
        """Return the oldest lease of what is below a PE in the graph; wait a little for one."""
        below = {*self._plan.order[self._plan.order.index(pe) + 1 :]}
        below.difference_update(root.index for root in self._plan.roots)
        for seconds in (0.0, self._limits.load_seconds):
            self._take([pin for pin in self.instances if pin[0] in below])
            for i, lease in enumerate(self._leases):
                if lease.task.pe in below:
                    del self._leases[i]
                    return lease
            self._take(None, seconds, pinned=False)
        return None

    def put_back(self, lease: Lease) -> None:
        """Put a lease in front, to go on with it after shared tasks that are there now."""
        self._leases.appendleft(lease)
        self._takes_shared_first = True

    def take_messages(self) -> None:
        """Take control messages, and carry them out."""
        self._take(())

    def _find(self, pins: Sequence[InstanceId]) -> Lease | None:
        for i, lease in enumerate(self._leases):
            if (lease.task.pe, lease.task.instance) in pins:
                del self._leases[i]
                return lease
        return None

    def _take(
        self, only: Sequence[InstanceId] | None, seconds: float = 0.0, *, pinned: bool = True
    ) -> None:
        """Take leases, not longer than until a checkpoint is due; see `TaskStore.take`."""
        due = [instance.due_at_rest for instance in self.instances.values() if instance.ended]
        if due:
            seconds = max(0.0, min(seconds, min(due) - monotonic()))
        leases = self._store.take(only, seconds, shared=self.is_active, pinned=pinned)
        if only is None:
            self._load.note(self._store.seen)
        for lease in leases:
            if lease.task.kind in CONTROL_MESSAGES:
                self._carry_out(lease)
            else:
                self._leases.append(lease)

    def _carry_out(self, message: Lease) -> None:
        kind = message.task.kind
        if kind == ASSIGN:
            self._adopt((message.task.pe, message.task.instance))
        elif kind in (DRAIN, STOP):
            self.state = WorkerState.DRAINING if kind == DRAIN else WorkerState.STOPPED
        elif not self.is_ending:
            self.state = WorkerState.PAUSED if kind == PAUSE else WorkerState.ACTIVE
        self._store.commit(Commit(leases=[message], attempt=self._stack.attempt))

    def _adopt(self, pin: InstanceId) -> None:
        adopted = self._store.adopt(pin)
        if adopted.position.sent is None:
            raise RunError(
                f"{self._plan.pes[pin[0]].id} (instance {pin[1]}) was lost with its worker: its"
                " state could not be saved there, or it was in the middle of a call that had sent"
                " too much, so no other worker can go on with it"
            )
        self.instances[pin] = PinnedInstance(
            pin, adopted, self._interval, self._store.largest, self._limits
        )
        self._leases += adopted.leases


def _has_other_threads() -> bool:
    """Return whether there are threads of PEs, which may log while the worker waits."""
    own = threading.current_thread()
    return any(
        thread is not own and not thread.name.startswith("d4py-")
        for thread in threading.enumerate()
    )
