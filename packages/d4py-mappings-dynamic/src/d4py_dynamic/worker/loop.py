"""The task loop: a worker that takes leases from a task store and processes them.

What a lease has produced is committed together with its end, and what a pinned instance has
produced together with its state, so a worker may be lost at any moment.  The loop is independent of
Redis: any store will do that keeps the rules of `TaskStore`.

A lease is an object (`SharedRun`, `PinnedRun`) that is processed in steps.  Between two steps, and
inside a PE's `write`, the worker may have to wait for receivers; it processes other leases
meanwhile, each on top of the one that waits (`RunStack`).
"""

from __future__ import annotations

from contextlib import nullcontext, suppress
from math import inf
from typing import TYPE_CHECKING, Any

from d4py_dynamic.store.protocols import TaskStore
from d4py_dynamic.store.serialization import CODEC
from d4py_dynamic.store.tasks import ANY, REDELIVERIES, Commit, Lease, StoreStatus, is_pinned
from d4py_dynamic.store.unread_items import naming_senders
from d4py_dynamic.worker.lease_run import LeaseRun, RunStack, Wait
from d4py_dynamic.worker.limits import WorkerLimits
from d4py_dynamic.worker.load import LoadMonitor
from d4py_dynamic.worker.outbox import Outbox
from d4py_dynamic.worker.pinned_instance import COMMIT_INTERVAL
from d4py_dynamic.worker.pinned_run import PinnedRun
from d4py_dynamic.worker.preemption import Preemptor
from d4py_dynamic.worker.services import WorkerServices
from d4py_dynamic.worker.shared_run import SharedRun
from dispel4py.engine.calls.runner_options import raise_error
from dispel4py.engine.execution.leased_executor import LeasedExecutor
from dispel4py.engine.failures import skip_item
from dispel4py.engine.items.copying import copy_item, share_item
from dispel4py.engine.planning.plan import Plan
from dispel4py.errors import ItemError

if TYPE_CHECKING:
    from dispel4py.engine.execution.metering import Meter


class Worker:
    """Processes leases until the run is over, or until it has to leave.

    Args:
        plan: the plan; shared PEs have one instance in it.
        store: where leases and control messages come from.
        rank: number of this worker.
        on_error: ``"stop"`` or ``"skip"``.
        share_items: see `dispel4py.RunOptions`.
        interval: see `PinnedInstance`.
        redeliveries: see `store.tasks.REDELIVERIES`; an item that was tried more often is skipped,
            for otherwise the run has ended by now.
        limits: its intervals and limits.
        meter: counts what its instances do, and reports it; None if the run is not observed.
    """

    def __init__(
        self,
        plan: Plan,
        store: TaskStore,
        rank: int,
        on_error: str = "stop",
        share_items: bool = False,
        interval: float | None = COMMIT_INTERVAL,
        redeliveries: int = REDELIVERIES,
        limits: WorkerLimits = WorkerLimits(),
        meter: Meter | None = None,
    ) -> None:
        self._plan = plan
        self._meter = meter
        skips = on_error == "skip"
        self._copier = share_item if share_items else copy_item
        self._store = store
        self._pinned = [is_pinned(pe) for pe in plan.pes]
        self._stack = stack = RunStack(Outbox(limits))
        self._load = load = LoadMonitor(limits)
        self._executor = executor = LeasedExecutor(
            plan,
            self,
            is_local=self._is_local,
            rank=rank,
            copier=self._copier,
            on_error=self._skip if skips else raise_error,
            log=store.log,
            on_batch_end=self._on_batch_end,
            one_by_one=False,
            has_unsent=lambda: not stack.outbox.is_empty,
            meter=meter,
        )
        self._services = services = WorkerServices(
            *(plan, store, rank, executor, stack, load, self._pinned),
            *(interval, redeliveries, limits, lambda: inf if meter is None else meter.wait()),
            skips=skips,
        )
        self._inbox = services.inbox
        self._backpressure = services.backpressure
        self._preemptor = Preemptor(executor, stack, services.session, services.local_work, limits)

    def serve(self) -> None:
        """Take and process leases until a control message ends the worker.

        Raises:
            ProcessingError: a PE raised, and `on_error` says to stop.
            ItemError: an item cannot be unpickled in this process.
            ServiceError: the store failed.
        """
        with naming_senders(self._plan), self._preemptor.running(), self._executor.closing():
            while not self._inbox.is_ending:
                self._process_next()
                self._executor.flush_log()
            if self._inbox.is_draining:
                self._leave()
            self._end()

    def _process_next(self) -> None:
        lease = self._inbox.next()
        if lease is not None:
            self._wait_after(self._process(lease))
        self._wait_after(self._services.checkpoints.save_due(at_rest=lease is None))

    def _wait_after(self, status: StoreStatus | None) -> None:
        """Wait before the next lease, if the last commit has shown that receivers are behind."""
        if status is not None:
            self._wait(self._backpressure.between_leases(status))

    def _process(self, lease: Lease) -> StoreStatus | None:
        """Process a lease on top of those that are being processed, as far as it goes now.

        Returns:
            What the commit at its end has shown; None if that is not committed yet.
        """
        run = self._run_of(lease)
        waiting = self._executor.stack
        outer_floor = waiting.set_aside()
        self._stack.push(run)
        try:
            return self._process_run(run)
        finally:
            self._stack.pop()
            waiting.floor = outer_floor

    def _process_run(self, run: LeaseRun) -> StoreStatus | None:
        self._services.session.look_if_due()
        run.begin(self._load, is_draining=self._inbox.is_draining)
        is_outermost = len(self._stack) == 1
        with self._preemptor if is_outermost else nullcontext():
            for wait in run.steps():
                if wait is not None:
                    self._wait(wait)
        return run.finish()

    def _run_of(self, lease: Lease) -> LeaseRun:
        instance = self._inbox.instances.get((lease.task.pe, lease.task.instance))
        if instance is None:
            return SharedRun(lease, self._services)
        return PinnedRun(lease, instance, self._services)

    def _wait(self, wait: Wait | None) -> None:
        """Wait, and process leases meanwhile; a draining worker waits for nothing."""
        if wait is None:
            return
        while not (self._inbox.is_draining or wait.is_over()):
            # What a pinned instance has done counts as waiting for it until it is saved.
            self._services.checkpoints.save_due(at_rest=True)
            if self._meter is not None:
                self._meter.wait(pe for pe, _ in self._backpressure.overfull)
            lease = wait.next_lease()
            if lease is not None:
                self._process(lease)

    def _leave(self) -> None:
        """Save instances and replicas, so that other workers can go on with them."""
        for instance in [*self._inbox.instances.values()]:
            if instance.is_started:
                self._services.checkpoints.save(instance, close=True)
        with suppress(ItemError):  # a replica that cannot be pickled is lost; the driver says so
            for pe in self._services.usage.replicas:
                replica = self._executor.start(pe, 0).snapshot(CODEC.dumps_state)
                self._executor.close(pe, 0)  # before others go on with what it has written
                self._store.commit(Commit(orphans=[(pe, replica)]))

    def _end(self) -> None:
        """Release the instances that are still here, which have no postprocess."""
        self._executor.close_all()
        self._executor.flush_log()
        self._services.usage.find_changes()
        self._services.session.report_changes()
        commit = self._stack.outbox.take([], 0)
        if commit.failures:
            self._store.commit(commit)

    # Hooks of the executor.

    def send(self, pe: int, instance: int, input_name: str, items: list[Any]) -> None:
        """See `dispel4py.engine.execution.executor.OutputHandler`."""
        size = len(items) * self._executor.item_bytes
        instance = instance if self._pinned[pe] else ANY
        self._stack.outbox.add_items(pe, instance, input_name, items, size)

    def result(self, pe_id: str, output: str, items: list[Any]) -> None:
        """See `dispel4py.engine.execution.executor.OutputHandler`."""
        size = len(items) * self._executor.item_bytes
        self._stack.outbox.add_results(pe_id, output, items, size)

    def _skip(self, error: Any, item: Any) -> None:
        self._executor.forbid_split()
        self._stack.outbox.add_failure(skip_item(error, item, self._copier))

    def _is_local(self, pe: int, instance: int) -> bool:
        """Return whether items for a PE are processed here, now.

        On probation none are: what follows from an item must not end the worker in its place.  Nor
        are they in the middle of a call that others wait for, or of a call of the same PE.
        """
        run = self._stack.top
        assert run is not None
        return not (
            self._pinned[pe]
            or (run.shares_followers and not (run.keeps_quick and self._load.is_quick(pe)))
            or run.on_probation
            or (
                self._executor.in_call and (self._load.idle > 0 or pe in self._executor.pes_in_call)
            )
        )

    def _on_batch_end(self) -> bool:
        """Look at the load if that is due; True interrupts the executor, unless it is in a call."""
        run, in_call = self._stack.top, self._executor.in_call
        has_to_wait = in_call and run is not None and run.was_committed_in_call
        if not (self._stack.outbox.is_heavy or self._load.is_due or has_to_wait):
            return False
        if not in_call:
            return True
        assert run is not None
        status = self._services.local_work.look_in_call(run)
        if status is not None:
            self._wait(self._backpressure.after(status))
            if self._executor.call_stack == [run.instance]:
                self._wait(self._backpressure.of_root(run.instance[0]))
        return False
