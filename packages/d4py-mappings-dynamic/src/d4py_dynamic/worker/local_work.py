"""Items that wait in this worker: they are processed here, or handed back to the store.

An item that may be processed anywhere is followed down the graph in the process that made it, which
costs nothing per hop.  Only while other workers are idle, or the outbox is full, are items handed
back, in pieces.
"""

from __future__ import annotations

from d4py_dynamic.store.tasks import StoreStatus
from d4py_dynamic.worker.lease_run import LeaseRun
from d4py_dynamic.worker.limits import WorkerLimits
from d4py_dynamic.worker.session import StoreSession
from dispel4py.engine.execution.leased_executor import LeasedExecutor


class LocalWork:
    """Processes what waits here, and decides when others get it.

    Args:
        executor: the executor.
        session: asked for the load, and for commits in the middle of a call.
        pinned: by PE number: its instances are pinned.
        limits: of the worker.
    """

    def __init__(
        self,
        executor: LeasedExecutor,
        session: StoreSession,
        pinned: list[bool],
        limits: WorkerLimits,
    ) -> None:
        self._executor = executor
        self._session = session
        self._pinned = pinned
        self._limits = limits

    def process(self, run: LeaseRun) -> bool:
        """Process what waits to its end, or hand it back if that takes long.

        Returns:
            True if something was handed back although followers need not be shared.
        """
        has_handed_back = False
        while not self._executor.drain():
            self._session.look()
            is_shared = run.shares_followers
            if is_shared or run.outbox.is_heavy or self._session.is_commit_due:
                has_handed_back |= self._hand_back(run) and not is_shared
        return has_handed_back

    def look_in_call(self, run: LeaseRun) -> StoreStatus | None:
        """Hand items back and commit, in the middle of a call, if either is due.

        Returns:
            What the commit has shown; None if there was none.
        """
        self._session.look()
        is_due = run.outbox.is_heavy or self._session.is_commit_due or run.was_committed_in_call
        if not (run.shares_followers or is_due):
            return None
        is_full = run.outbox.weight > self._limits.held_outbox_bytes
        if run.shares_followers or not self._session.load.backlog or is_full:
            self._hand_back(run)
        if not (self._executor.stack.is_drained and self._may_commit(run)):
            return None  # what follows from the same items goes first
        run.was_committed_in_call = False
        return self._session.commit(run.partial_commit(self._session.load.idle))

    def commit_in_call(self, run: LeaseRun) -> None:
        """Commit what a call has sent that takes long, if it can be repeated; from another thread.

        What follows from its items is handed back: no PE is called outside of the worker's thread.
        """
        # Between quick calls, the worker's thread commits more: the state as well.
        if not run.is_repeatable or self._executor.seconds_in_call < self._limits.preempt_seconds:
            return
        if self._executor.has_waited(0.0):
            self._executor.collect_output()
        self._hand_back(run)
        if self._executor.stack.is_drained and not run.outbox.is_empty:
            self._session.commit(run.partial_commit(self._session.load.idle))
            run.was_committed_in_call = True

    def _may_commit(self, run: LeaseRun) -> bool:
        """Return whether to commit in the middle of a call: it may be unrepeatable then."""
        return (
            run.is_repeatable
            or run.has_sent_unrepeatable
            or run.outbox.is_heavy
            or self._session.seconds_since_commit > self._limits.unrepeatable_seconds
        )

    def _hand_back(self, run: LeaseRun) -> bool:
        """Make tasks of what waits here that any worker can take; False if there is nothing."""
        kept = run.keeps
        waiting = self._executor.stack.take(lambda pe: self._pinned[pe] or pe == kept)
        for pe, _, input_name, items in waiting:
            run.note_handed_back(pe, len(items))
            run.outbox.add_shared(pe, input_name, items)
        return bool(waiting)
