"""A lease that is being processed, and the stack of those that are processed at once.

A worker that waits in the middle of a PE's call processes other leases meanwhile.  So there may be
several runs, one inside the other; each has its own outbox, attempt and position, and only the one
on top of the stack is going on.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from enum import Enum, auto
from typing import ClassVar, Protocol

from d4py_dynamic.store.tasks import Attempt, Commit, Delivery, InstanceId, Lease, StoreStatus
from d4py_dynamic.worker.load import LoadMonitor
from d4py_dynamic.worker.outbox import Outbox
from dispel4py.engine.calls.runner import Runner
from dispel4py.engine.execution.leased_executor import LeasedExecutor


class Wait(Protocol):
    """What a worker waits for before it goes on."""

    def is_over(self) -> bool:
        """Return whether the worker may go on."""

    def next_lease(self) -> Lease | None:
        """Return a lease to process meanwhile, or None after a pause."""


class RunState(Enum):
    """Where a run is in its life."""

    #: It is processed.
    ACTIVE = auto()
    #: All of it is processed.
    DONE = auto()
    #: The worker goes on with it later, when what followed from it has been processed.
    PUT_BACK = auto()
    #: Another worker goes on with it, as this one ends.
    LEFT = auto()


class LeaseRun(ABC):
    """One lease being processed.

    Args:
        lease: the lease.
        outbox: gathers what the lease produces.
        on_probation: workers were lost with it, and one of its items may be the reason.
        executor: processes its items.

    Attributes:
        pe: number of the PE that the lease is of.
        lease: the lease; what is left of it once a part of it has been handed back.
        outbox: see the arguments.
        on_probation: see the arguments.
        state: see `RunState`.
        attempt: what was announced to the store; see `d4py_dynamic.worker.poison`.
        shares_followers: items that follow from it go to the store, for other workers.
        was_committed_in_call: another thread has made a commit.  So the next `write` makes one,
            too, and then waits for receivers that are behind.
        keeps_quick: but those for PEs whose calls are quick are processed here.
    """

    #: It is of a root or a stateful instance, which only this worker can process.
    is_source: ClassVar[bool]

    def __init__(
        self, lease: Lease, outbox: Outbox, executor: LeasedExecutor, *, on_probation: bool
    ) -> None:
        self.pe = lease.task.pe
        self.lease = lease
        self.outbox = outbox
        self.on_probation = on_probation
        self.state = RunState.ACTIVE
        self.attempt: Attempt | None = None
        self.was_committed_in_call = False
        self.shares_followers = self.keeps_quick = False
        self._executor = executor
        self._outer_calls = len(executor.call_stack)

    @property
    @abstractmethod
    def instance(self) -> InstanceId:
        """(PE number, number in the executor) of the instance that processes the lease."""

    @property
    @abstractmethod
    def delivery(self) -> Delivery:
        """What a loss during an attempt counts against."""

    @property
    def keeps(self) -> int | None:
        """Number of a shared PE whose waiting items must be processed here; None if there is none.

        Of these, some had been sent by a lost worker and are still to be dropped, and no other
        worker has their number.
        """
        return None

    @property
    def is_repeatable(self) -> bool:
        """The current call can be repeated, and nothing of it is sent twice.

        What the PE of the lease has sent is known by number.  What PEs further down have sent is
        not, nor what threads have written, since their order is another one the next time.
        """
        calls = self._executor.call_stack[self._outer_calls :]
        return calls == [self.instance] and not self.runner.is_unrepeatable

    @property
    @abstractmethod
    def has_sent_unrepeatable(self) -> bool:
        """The current call has committed something, and cannot be repeated."""

    @property
    def runner(self) -> Runner:
        """The runner of `instance`."""
        return self._executor.start(*self.instance)

    @abstractmethod
    def begin(self, load: LoadMonitor, *, is_draining: bool) -> None:
        """Decide whether followers are shared at the beginning."""

    def note_load(self, load: LoadMonitor, *, is_draining: bool) -> None:
        """Decide whether followers are shared, after a look at the load."""
        self.shares_followers = (
            is_draining or load.idle > 0 or (self.is_source and load.wants_stock)
        )

    @abstractmethod
    def steps(self) -> Iterator[Wait | None]:
        """Process the lease; stop at each wait that is due before it goes on."""

    @abstractmethod
    def finish(self) -> StoreStatus | None:
        """Commit the end of the lease, if a commit is due; no lease may be pushed before that."""

    def note_handed_back(self, pe: int, count: int) -> None:  # noqa: B027
        """Note that items that waited for a PE are tasks of their own from the next commit on."""

    def split_batch(self) -> Commit | None:
        """Hand back all but the current call, from another thread.

        Returns:
            A commit of what the lease has produced and of what remains of it; None if it cannot be
            split, or need not be.
        """
        return None

    def partial_commit(self, idle: int) -> Commit:
        """Return a commit of what the current call has sent so far, and note its position."""
        # A repeated call fails again at what its own PE has failed at.
        repeated = self.outbox.take_failures_of(self.runner.planned.id)
        is_repeatable = self.is_repeatable
        commit = self.outbox.take([], idle)
        for failure in repeated:
            self.outbox.add_failure(failure)
        self._add_position(commit, is_repeatable=is_repeatable)
        return commit

    @abstractmethod
    def _add_position(self, commit: Commit, *, is_repeatable: bool) -> None:
        """Add to a commit how far the lease has come."""


class RunStack:
    """The leases being processed, outermost first.

    Args:
        outbox: gathers what is produced while no lease is processed.

    Attributes:
        outbox: the outbox of the run on top.
        top: the run on top; None if there is none.
        pes: PEs of the leases, outermost first.
    """

    def __init__(self, outbox: Outbox) -> None:
        self.outbox = self._outside = outbox
        self.top: LeaseRun | None = None
        self.pes: list[int] = []
        self._runs: list[LeaseRun] = []

    def __len__(self) -> int:
        return len(self._runs)

    def __contains__(self, instance: InstanceId) -> bool:
        """Return whether a lease of an instance is being processed."""
        return any(run.instance == instance for run in self._runs)

    @property
    def attempt(self) -> Attempt | None:
        """The attempt of the run on top."""
        return None if self.top is None else self.top.attempt

    def push(self, run: LeaseRun) -> None:
        """Begin to process a lease, on top of the others."""
        self._runs.append(run)
        self.pes.append(run.pe)
        self.top, self.outbox = run, run.outbox

    def pop(self) -> None:
        """Go on with the lease below the one on top."""
        self._runs.pop()
        self.pes.pop()
        if self._runs:
            self.top = self._runs[-1]
            self.outbox = self.top.outbox
        else:
            self.top, self.outbox = None, self._outside
