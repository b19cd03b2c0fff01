"""Checkpoints of the pinned instances that a worker owns."""

from __future__ import annotations

from time import monotonic

from d4py_dynamic.store.protocols import TaskStore
from d4py_dynamic.store.tasks import StoreStatus
from d4py_dynamic.worker.inbox import Inbox
from d4py_dynamic.worker.lease_run import RunStack
from d4py_dynamic.worker.pinned_instance import PinnedInstance
from d4py_dynamic.worker.session import StoreSession
from dispel4py.engine.execution.leased_executor import LeasedExecutor
from dispel4py.engine.planning.plan import Plan


class Checkpoints:
    """Saves pinned instances.

    Args:
        plan: the plan.
        store: gets log lines.
        rank: number of the worker.
        executor: has the instances.
        stack: the leases being processed.
        inbox: has the instances that this worker owns.
        session: makes the commits.
    """

    def __init__(
        self,
        plan: Plan,
        store: TaskStore,
        rank: int,
        executor: LeasedExecutor,
        stack: RunStack,
        inbox: Inbox,
        session: StoreSession,
    ) -> None:
        self._plan = plan
        self._store = store
        self._rank = rank
        self._executor = executor
        self._stack = stack
        self._inbox = inbox
        self._session = session

    def save(self, instance: PinnedInstance, *, close: bool = False) -> StoreStatus:
        """Commit all that an instance has done, with its state.

        Args:
            instance: the instance.
            close: release it before the commit: it is done, or another worker goes on with it.

        Returns:
            What the commit has shown.
        """
        state, position = instance.checkpoint(instance.start(self._executor))
        if instance.save_error is not None:
            reason, instance.save_error = instance.save_error, None
            self._log(instance, f"the run fails if this worker is lost: {reason}")
        if close:
            self._executor.close(*instance.pin)
        commit = instance.outbox.take(instance.ended, self._session.load.idle)
        commit.states, commit.instance_positions = (
            [(instance.pin, state)],
            [(instance.pin, position)],
        )
        commit.progressed = [instance.pin] if instance.advance(position) else []
        status = self._session.commit(commit)
        instance.saved(self._session.commit_seconds)
        return status

    def save_last(self, instance: PinnedInstance) -> StoreStatus:
        """Commit an instance that has been postprocessed, and let go of it."""
        status = self.save(instance, close=True)
        del self._inbox.instances[instance.pin]
        if (summary := instance.summary()) is not None:
            self._log(instance, summary)
        return status

    def save_due(self, *, at_rest: bool) -> StoreStatus | None:
        """Save the instances whose checkpoint is due, and that no lease is being processed of.

        Args:
            at_rest: the worker has nothing else to do.

        Returns:
            What the last commit has shown; None if there was none.
        """
        status = None
        for instance in [*self._inbox.instances.values()]:
            due_at = instance.due_at_rest if at_rest else instance.due_at
            if instance.ended and instance.pin not in self._stack and monotonic() >= due_at:
                status = self.save(instance)
        return status

    def _log(self, instance: PinnedInstance, message: str) -> None:
        self._store.log(self._plan.pes[instance.pin[0]].id, self._rank, message)
