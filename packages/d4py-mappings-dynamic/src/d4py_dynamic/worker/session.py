"""A worker's session with its store: commits, and looks at the load of the other workers."""

from __future__ import annotations

from time import monotonic, perf_counter

from d4py_dynamic.store.protocols import TaskStore
from d4py_dynamic.store.tasks import ANY, Attempt, Commit, StoreStatus
from d4py_dynamic.worker.backpressure import Backpressure
from d4py_dynamic.worker.inbox import Inbox
from d4py_dynamic.worker.lease_run import RunStack
from d4py_dynamic.worker.limits import WorkerLimits
from d4py_dynamic.worker.load import LoadMonitor
from d4py_dynamic.worker.unsent_items import leave_out_unsent
from d4py_dynamic.worker.usage import UsageReport
from dispel4py.engine.planning.plan import Plan
from dispel4py.errors import ItemError


class StoreSession:
    """Makes commits, and takes note of what each of them shows.

    Args:
        plan: the plan.
        store: the store.
        stack: the leases being processed.
        inbox: carries out control messages.
        load: takes note of the load.
        usage: what commits report beside.
        backpressure: takes note of receivers that are behind.
        limits: of the worker.
        skips: errors are skipped.

    Attributes:
        load: see the arguments.
        committed_at: when the last commit was made, on the monotonic clock.
        commit_seconds: how long the store took for it.
    """

    def __init__(
        self,
        plan: Plan,
        store: TaskStore,
        stack: RunStack,
        inbox: Inbox,
        load: LoadMonitor,
        usage: UsageReport,
        backpressure: Backpressure,
        limits: WorkerLimits,
        *,
        skips: bool,
    ) -> None:
        self.committed_at = monotonic()
        self.commit_seconds = 0.0
        self._plan = plan
        self._store = store
        self._stack = stack
        self._inbox = inbox
        self.load = load
        self._usage = usage
        self._backpressure = backpressure
        self._limits = limits
        self._skips = skips

    def commit(self, commit: Commit) -> StoreStatus:
        """Make a commit, of the run on top of the stack.

        Raises:
            ProcessingError: an item cannot be sent, and the run stops at errors.
        """
        self._usage.add_to(commit)
        self.report_changes()
        self.load.note_calls({pe: seconds / calls for pe, calls, seconds in commit.counters})
        commit.attempt = self._stack.attempt
        started_at = perf_counter()
        try:
            status = self._store.commit(commit)
        except ItemError:
            largest = self._store.largest
            leave_out_unsent(self._plan, commit, skips=self._skips, largest=largest)
            status = self._store.commit(commit)
        self.commit_seconds = perf_counter() - started_at
        self.committed_at = monotonic()
        self._backpressure.note(status)
        self._note(status, [task.instance for task in commit.tasks].count(ANY))
        return status

    def announce(self, attempt: Attempt) -> None:
        """Record what the worker is about to do, in case that it is lost over it."""
        self._store.commit(Commit(attempt=attempt))

    def report_changes(self) -> None:
        """Report undeclared state of PEs that has been found since the last time."""
        while self._usage.changes:
            self._store.report_undeclared_state(self._usage.changes.pop(0))

    def look(self) -> None:
        """Ask the store for the load and for control messages."""
        started_at = perf_counter()
        status = self._store.status()
        self.load.note_duration(perf_counter() - started_at)
        self._note(status)

    def look_if_due(self) -> None:
        """Do so if the last look is too long ago."""
        if self.load.is_due:
            self.look()

    def _note(self, status: StoreStatus, sent: int = 0) -> None:
        self.load.note(status, sent)
        if status.has_messages:
            self._inbox.take_messages()
        if self._stack.top is not None:
            self._stack.top.note_load(self.load, is_draining=self._inbox.is_draining)

    @property
    def is_commit_due(self) -> bool:
        """Output has waited for a commit as long as it may."""
        return self.seconds_since_commit > self._limits.commit_seconds

    @property
    def seconds_since_commit(self) -> float:
        return monotonic() - self.committed_at
