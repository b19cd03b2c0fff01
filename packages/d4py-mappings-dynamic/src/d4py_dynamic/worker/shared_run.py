"""The run of a shared lease, which any worker may process: items, calls or a postprocess."""

from __future__ import annotations

from collections.abc import Iterator

from d4py_dynamic.store.serialization import position_of_rest, remaining
from d4py_dynamic.store.tasks import FINISH, Commit, InstanceId, Lease, StoreStatus
from d4py_dynamic.worker.lease_run import LeaseRun, RunState, Wait
from d4py_dynamic.worker.load import LoadMonitor
from d4py_dynamic.worker.outbox import Outbox
from d4py_dynamic.worker.services import WorkerServices
from dispel4py.engine.items.codec import loads_state
from dispel4py.engine.items.copying import copy_item


class SharedRun(LeaseRun):
    """A shared lease being processed; it has no state, so its position is enough to go on.

    Args:
        lease: the lease.
        services: the parts of the worker.
    """

    is_source = False

    def __init__(self, lease: Lease, services: WorkerServices) -> None:
        super().__init__(
            lease, Outbox(services.limits), services.executor, on_probation=lease.delivery_count > 0
        )
        self._services = services
        #: A postprocess of a replica that another worker has left.
        self._is_orphan = lease.task.kind == FINISH and lease.task.payload is not None
        self._number = next(services.orphan_numbers) if self._is_orphan else 0

    @property
    def instance(self) -> InstanceId:
        return self.lease.task.pe, self._number

    @property
    def delivery(self) -> Lease:
        return self.lease

    @property
    def keeps(self) -> int | None:
        has_to_drop = self.lease.position.sent and self.runner.replay.left_to_drop
        return self.lease.task.pe if has_to_drop else None

    @property
    def is_repeatable(self) -> bool:
        return not self._is_orphan and super().is_repeatable

    @property
    def has_sent_unrepeatable(self) -> bool:
        return self.lease.position.sent is None

    def begin(self, load: LoadMonitor, *, is_draining: bool) -> None:
        """Keep followers here until the lease turns out to take long."""
        self.shares_followers = is_draining

    def steps(self) -> Iterator[Wait | None]:
        services, task = self._services, self.lease.task
        services.guard.announce(self, in_call=False)
        self._start()
        if services.guard.is_poison(self.lease.delivery_count):
            services.guard.skip_of_lease(self)
        if task.kind == FINISH:
            self._postprocess()
        elif self.on_probation:
            yield from services.guard.process_singly(self)
        else:
            done = self.lease.position.done
            load = task.payload[done:] if done else task.payload
            services.executor.push(*self.instance, task.input_name, load)
        services.local_work.process(self)
        if self.state is RunState.ACTIVE:
            self.state = RunState.DONE

    def finish(self) -> StoreStatus | None:
        if self.state is RunState.LEFT:
            return None
        commit = self.outbox.take([self.lease], self._services.load.idle)
        return self._services.session.commit(commit)

    def _start(self) -> None:
        """Make the instance, or have the worker's own replica drop what was sent before."""
        executor, position, task = self._services.executor, self.lease.position, self.lease.task
        if self._is_orphan:
            executor.start(*self.instance, loads_state(task.payload, executor.plan.pes[task.pe].id))
        else:
            self.runner.track(dict(position.sent or ()), position.call_offset)

    def _postprocess(self) -> None:
        services = self._services
        if not self._is_orphan:
            services.usage.replicas.discard(self.lease.task.pe)
        if self.lease.position.done:  # it has been skipped
            services.executor.close(*self.instance)
        else:
            services.guard.announce(self)
            services.executor.finish(*self.instance)

    def _add_position(self, commit: Commit, *, is_repeatable: bool) -> None:
        lease, replay = self.lease, self.runner.replay
        sent = tuple(replay.sent_in_total.items()) if is_repeatable else None
        position = lease.position._replace(sent=sent, call_offset=replay.call_offset)
        commit.lease_positions = [(lease, position)]
        commit.progressed = [lease] if position != lease.position else []
        self.lease = lease._replace(position=position)

    def note_handed_back(self, pe: int, count: int) -> None:
        """Leave out of the lease what other workers get now, lest a repetition process it twice."""
        lease = self.lease
        if pe == lease.task.pe:  # a PE gets no items from itself, so these are the lease's last
            position = lease.position._replace(end=len(lease.task.payload) - count)
            self.lease = lease._replace(task=remaining(lease.task, position), position=position)

    # Splitting, by the preemption thread.

    def split_batch(self) -> Commit | None:
        if not self._can_be_split() or not self._is_split_due():
            return None
        services, lease = self._services, self.lease
        (pe, _, input_name, batch), rest = services.executor.split_batch(
            services.pinned.__getitem__
        )
        for waiting, _, name, items in rest:
            self.outbox.add_shared(waiting, name, items)
        position = position_of_rest(lease.task, pe, input_name or "", batch)
        self.lease = lease._replace(task=remaining(lease.task, position), position=position)
        self.runner.track()
        commit = self.outbox.take([], 1)
        commit.lease_positions = [(lease, position)]
        return commit

    def _can_be_split(self) -> bool:
        """Return whether all is known by which another worker can go on with the current batch.

        Its items are recorded by their place in the task if they belong to it; others must be
        unchangeable, since the PE may be changing them now.
        """
        task = self.lease.task
        if task.kind == FINISH or self.on_probation:
            return False
        replay = self.runner.replay
        if replay.left_to_drop or replay.next_call_offset is not None:
            return False  # only here is it known what a lost worker had sent
        pe, items = self._services.executor.current_items
        return pe == task.pe or all(copy_item(item) is item for item in items)

    def _is_split_due(self) -> bool:
        """Return whether output waits for a commit, or other workers for what has not begun."""
        executor = self._services.executor
        has_output = executor.has_written or not self.outbox.is_empty
        if has_output and self._services.session.is_commit_due:
            return True
        return executor.has_pending and self._services.store.status().idle > 0
