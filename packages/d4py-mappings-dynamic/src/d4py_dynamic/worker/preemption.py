"""Preemption: while one call takes long, what waits behind it must not.

A worker hands work back between two batches.  In the middle of a call it cannot; so a thread looks
then, and only then, whether something waits behind the call.  A batch whose current call has sent
something stays whole; what it has sent is committed all the same.
"""

from __future__ import annotations

from functools import partial

from d4py_dynamic.worker.lease_run import LeaseRun, RunStack
from d4py_dynamic.worker.limits import WorkerLimits
from d4py_dynamic.worker.local_work import LocalWork
from d4py_dynamic.worker.session import StoreSession
from dispel4py.engine.calls.call_watch import CallWatch
from dispel4py.engine.execution.leased_executor import LeasedExecutor


class Preemptor(CallWatch):
    """Splits batches of a worker whose current call takes long; see `CallWatch`.

    Args:
        executor: has the current batch.
        stack: has the lease that it belongs to.
        session: makes the commit of a split.
        local_work: makes other commits in mid-call.
        limits: of the worker.
    """

    def __init__(
        self,
        executor: LeasedExecutor,
        stack: RunStack,
        session: StoreSession,
        local_work: LocalWork,
        limits: WorkerLimits,
    ) -> None:
        super().__init__("d4py-preemption", limits.preempt_seconds)
        self._executor = executor
        self._stack = stack
        self._session = session
        self._local_work = local_work
        self._seen: object | None = None

    def look(self) -> bool:
        """Split the batch that was current the last time too, or commit what a call has sent."""
        batch = self._executor.current_batch
        if batch is None:
            act, entered = self._commit_output, self._executor.entered_call
        elif batch is self._seen:
            act, entered = self._split, partial(self._executor.entered, batch)
        else:
            self._seen = batch
            return True
        if batch is None and not self._session.is_commit_due:
            return True
        with entered() as is_inside:
            if not is_inside or self._executor.current_batch is not batch:
                return True
            try:
                act(self._stack.top)
            except BaseException as error:
                self._executor.fail(error)
                return False
        return True

    def _split(self, run: LeaseRun | None) -> None:
        if run is not None and len(self._stack) == 1:
            commit = run.split_batch()
            if commit is not None:
                self._session.commit(commit)

    def _commit_output(self, run: LeaseRun | None) -> None:
        """Commit what a call has sent, if its batch cannot be split for that very reason."""
        if run is not None and len(self._stack) == 1:
            self._local_work.commit_in_call(run)
