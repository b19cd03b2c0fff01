"""Preemption: while one call takes long, what waits behind it must not.

A worker hands work back between two batches.  In the middle of a call it cannot; so a thread looks
then, and only then, whether something waits behind the call.  A batch whose current call has sent
something stays whole; what it has sent is committed all the same.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from d4py_dynamic.worker.lease_run import LeaseRun, RunStack
from d4py_dynamic.worker.limits import WorkerLimits
from d4py_dynamic.worker.local_work import LocalWork
from d4py_dynamic.worker.session import StoreSession
from dispel4py.engine.leased_executor import LeasedExecutor


class Preemptor:
    """Splits batches of a worker whose current call takes long.

    Its thread enters the engine while the worker is in the PE's code; see
    `dispel4py.engine.call_monitor`.

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
        self._executor = executor
        self._stack = stack
        self._session = session
        self._local_work = local_work
        self._seconds = limits.preempt_seconds
        self._armed = threading.Event()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="d4py-preemption", daemon=True)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Watch in a block, whenever armed."""
        self._thread.start()
        try:
            yield
        finally:
            self._stopped.set()
            self._armed.set()
            self._thread.join()

    def arm(self) -> None:
        """Watch from now on: there are batches that may be split."""
        self._armed.set()

    def disarm(self) -> None:
        """Watch no more."""
        self._armed.clear()

    def _watch(self) -> None:
        seen = None
        while self._armed.wait() and not self._stopped.wait(self._seconds):
            batch = self._executor.current_batch
            if batch is None:
                act, entered = self._commit_output, self._executor.entered_call
            elif batch is seen:
                act, entered = self._split, partial(self._executor.entered, batch)
            else:
                seen = batch
                continue
            if batch is None and not self._session.is_commit_due:
                continue
            with entered() as is_inside:
                if not is_inside or self._executor.current_batch is not batch:
                    continue
                try:
                    act(self._stack.top)
                except BaseException as error:
                    self._executor.fail(error)
                    return

    def _split(self, run: LeaseRun | None) -> None:
        if run is not None and len(self._stack) == 1:
            commit = run.split_batch()
            if commit is not None:
                self._session.commit(commit)

    def _commit_output(self, run: LeaseRun | None) -> None:
        """Commit what a call has sent, if its batch cannot be split for that very reason."""
        if run is not None and len(self._stack) == 1:
            self._local_work.commit_in_call(run)
