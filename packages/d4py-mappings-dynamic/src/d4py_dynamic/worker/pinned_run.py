"""The run of a lease of a pinned instance, which only its owner can process."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from time import monotonic

from d4py_dynamic.store.tasks import (
    FINISH,
    Commit,
    InstanceId,
    Lease,
    StoreStatus,
    remaining_payload,
)
from d4py_dynamic.worker.lease_run import LeaseRun, RunState, Wait
from d4py_dynamic.worker.load import LoadMonitor
from d4py_dynamic.worker.pinned_instance import UNREPEATABLE, PinnedInstance
from d4py_dynamic.worker.services import WorkerServices


class PinnedRun(LeaseRun):
    """A lease of a pinned instance being processed.

    Args:
        lease: the lease.
        owned: the instance.
        services: the parts of the worker.
    """

    is_source = True

    def __init__(self, lease: Lease, owned: PinnedInstance, services: WorkerServices) -> None:
        super().__init__(lease, owned.outbox, services.executor, on_probation=owned.on_probation)
        self._owned = owned
        self._services = services

    @property
    def instance(self) -> InstanceId:
        return self._owned.pin

    @property
    def delivery(self) -> InstanceId:
        return self._owned.pin

    @property
    def has_sent_unrepeatable(self) -> bool:
        return self.lease.position.sent is None or self._owned.is_unrepeatable

    def begin(self, load: LoadMonitor, *, is_draining: bool) -> None:
        """Share followers at once if any worker wants them, since this lease cannot move.

        What is quick to process is not worth it for a single item.
        """
        self.note_load(load, is_draining=is_draining)
        self.shares_followers |= self._owned.on_probation
        self.keeps_quick = self._size == 1 and not is_draining

    def steps(self) -> Iterator[Wait | None]:
        owned, guard = self._owned, self._services.guard
        is_finish = self.lease.task.kind == FINISH
        if owned.on_probation and not owned.is_started:
            yield from self._start_on_probation()
        owned.begin()
        owned.start(self._services.executor)
        if guard.is_poison(owned.delivery_count):
            guard.skip_of_instance(self, owned)
            if not is_finish:
                self.state = RunState.PUT_BACK
        elif is_finish:
            guard.announce(self)
            self._services.executor.finish(*owned.pin, close=False)
            self._services.local_work.process(self)
        else:
            yield from self._process_items()
        if self.state is RunState.ACTIVE:
            self.state = RunState.DONE

    def finish(self) -> StoreStatus | None:
        owned, checkpoints = self._owned, self._services.checkpoints
        if self.state is RunState.LEFT:
            return None
        if self.state is RunState.PUT_BACK:
            self._services.inbox.put_back(self.lease)
            return checkpoints.save(owned)
        owned.ended.append(self.lease)
        owned.done = 0
        if self.lease.task.kind == FINISH:
            return checkpoints.save_last(owned)
        if self.outbox.is_heavy or monotonic() >= owned.due_at:
            return checkpoints.save(owned)
        return None

    def _start_on_probation(self) -> Iterator[Wait | None]:
        """Make the instance as an attempt of its own."""
        owned, services = self._owned, self._services
        is_new = owned.is_new
        services.guard.announce(self, in_call=False)
        owned.start(services.executor)
        self.attempt = None
        owned.begin()
        if is_new:
            yield services.backpressure.after(services.checkpoints.save(owned))

    def _process_items(self) -> Iterator[Wait | None]:
        owned, services, task = self._owned, self._services, self.lease.task
        executor, backpressure = services.executor, services.backpressure
        items = remaining_payload(services.plan, task, owned.done)
        if self.outbox.is_empty:
            yield backpressure.of_root(task.pe)
        began_at = monotonic()
        services.guard.announce(self)
        while done := executor.feed(
            *owned.pin, task.input_name, islice(items, 1) if owned.on_probation else items
        ):
            has_handed_back = services.local_work.process(self)
            self.attempt = None
            owned.done += done
            if has_handed_back or self.on_probation:
                self.state = RunState.PUT_BACK
                return
            if owned.done == self._size:
                return  # one commit, by `finish`, saves it and ends the lease
            services.session.look_if_due()
            if self.outbox.is_heavy or monotonic() >= self._due_at(began_at):
                yield backpressure.after(services.checkpoints.save(owned))
                yield backpressure.of_root(task.pe)
            if services.inbox.is_draining:
                self.state = RunState.LEFT
                return
            began_at = monotonic()

    @property
    def _size(self) -> int:
        """Number of items, or calls, of the lease."""
        payload = self.lease.task.payload
        if payload is None:
            return 0
        return payload if isinstance(payload, int) else len(payload)

    def _due_at(self, began_at: float) -> float:
        """Return when to save the instance in the middle of the lease.

        As soon as it may be if others are idle, or if the next items may take long as the last did;
        soon if others were idle before they got what the last commit has sent.
        """
        owned, services = self._owned, self._services
        limits, session, load = services.limits, services.session, services.load
        took_long = monotonic() - began_at > limits.load_seconds
        if load.idle or owned.on_probation or took_long:
            return owned.due_at
        wait = limits.commit_seconds
        if load.wants_stock:
            wait = min(wait, limits.work_per_commit * session.commit_seconds)
        return max(owned.due_at, session.committed_at + wait)

    def _add_position(self, commit: Commit, *, is_repeatable: bool) -> None:
        owned = self._owned
        position = owned.position(self.runner) if is_repeatable else UNREPEATABLE
        commit.instance_positions = [(owned.pin, position)]
        commit.progressed = [owned.pin] if owned.advance(position) else []
