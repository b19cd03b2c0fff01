"""Poison messages: items that end the worker that processes them, each time they are delivered.

A worker that is lost leaves much behind that had no part in it.  So whatever it had is only put on
probation: its items are processed one by one, each attempt is announced to the store before it
begins, and only a loss in an announced attempt counts.  After too many the item is skipped, if
errors are, or the run has failed by then.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

from d4py_dynamic.store.tasks import FINISH, Attempt, Commit, Task, remaining_payload
from d4py_dynamic.worker.backpressure import Backpressure
from d4py_dynamic.worker.inbox import Inbox
from d4py_dynamic.worker.lease_run import LeaseRun, RunState, Wait
from d4py_dynamic.worker.local_work import LocalWork
from d4py_dynamic.worker.pinned_instance import PinnedInstance
from d4py_dynamic.worker.session import StoreSession
from dispel4py.engine.execution.leased_executor import LeasedExecutor
from dispel4py.engine.items.item_ids import Item
from dispel4py.engine.items.places import Placed
from dispel4py.engine.planning.plan import Plan
from dispel4py.errors import ProcessingError, RunError, shorten
from dispel4py.result import Failure


class PoisonGuard:
    """Announces attempts, and skips poison messages.

    Args:
        plan: the plan.
        executor: processes items.
        inbox: says whether the worker is draining.
        session: makes commits.
        backpressure: what to wait for after them.
        local_work: processes what follows from an item.
        redeliveries: see `d4py_dynamic.store.tasks.REDELIVERIES`.
    """

    def __init__(
        self,
        plan: Plan,
        executor: LeasedExecutor,
        inbox: Inbox,
        session: StoreSession,
        backpressure: Backpressure,
        local_work: LocalWork,
        redeliveries: int,
    ) -> None:
        self._plan = plan
        self._executor = executor
        self._inbox = inbox
        self._session = session
        self._backpressure = backpressure
        self._local_work = local_work
        self._redeliveries = redeliveries

    def announce(self, run: LeaseRun, *, in_call: bool = True) -> None:
        """Announce what a run on probation does next, in case that this worker is lost over it."""
        if run.on_probation:
            run.attempt = Attempt(run.delivery, in_call)
            self._session.announce(run.attempt)

    def is_poison(self, delivery_count: int) -> bool:
        """Return whether workers were lost over it too often."""
        return delivery_count > self._redeliveries

    def skip_of_lease(self, run: LeaseRun) -> None:
        """Skip the next item of a shared lease."""
        lease, task = run.lease, run.lease.task
        if task.kind == FINISH:
            item = None
            run.runner.track()
        else:
            item = task.payload[lease.position.done]
        run.outbox.add_failure(self._failure(task, item, lease.delivery_count))
        if task.kind != FINISH:
            self._executor.skip(*run.instance, item)
        position = lease.position._replace(done=lease.position.done + 1, sent=(), call_offset=None)
        run.lease = lease._replace(position=position)

    def skip_of_instance(self, run: LeaseRun, instance: PinnedInstance) -> None:
        """Skip the next item of a pinned instance."""
        item, task = None, run.lease.task
        if task.kind != FINISH:
            (item,) = islice(remaining_payload(self._plan, task, instance.done), 1)
            if task.input_name in self._plan.pes[task.pe].ordered:
                raise RunError(
                    f"{self._plan.pes[task.pe].id} (instance {task.instance}) was lost"
                    f" {instance.delivery_count} times: its input {task.input_name!r} is ordered,"
                    " so the item that caused it is not known and cannot be skipped"
                )
            instance.done += 1
            instance.start(self._executor)
            self._executor.skip(*instance.pin, item)
            self._local_work.process(run)
        run.outbox.add_failure(self._failure(task, item, instance.delivery_count))
        instance.delivery_count = 0

    def process_singly(self, run: LeaseRun) -> Iterator[Wait | None]:
        """Process the items of a shared lease one by one, each with a commit."""
        task, size = run.lease.task, len(run.lease.task.payload)
        self.announce(run)
        for done in range(run.lease.position.done + 1, size + 1):
            self._executor.push(*run.instance, task.input_name, task.payload[done - 1 : done])
            self._local_work.process(run)
            if done == size:
                break
            # The commit announces the next attempt.
            yield self._backpressure.after(self._session.commit(self._commit_of_item(run, done)))
            if self._inbox.is_draining:
                run.state = RunState.LEFT
                return
        run.attempt = None

    def _commit_of_item(self, run: LeaseRun, done: int) -> Commit:
        """Return a commit of one item of a shared lease, of which so many are done now."""
        replay = run.runner.replay
        sent, offset = replay.left_to_drop, replay.next_call_offset
        run.runner.track(sent, offset)
        position = run.lease.position._replace(
            done=done, sent=tuple(sent.items()), call_offset=offset
        )
        run.lease = run.lease._replace(position=position)
        commit = run.outbox.take([], self._session.load.idle)
        commit.lease_positions, commit.progressed = [(run.lease, position)], [run.lease]
        return commit

    def _failure(self, task: Task, item: Any, delivery_count: int) -> Failure:
        """Return the failure of an item that was skipped because workers were lost over it."""
        item = item.data if isinstance(item, Item | Placed) else item
        phase = "postprocess" if task.kind == FINISH else "process"
        reason = f"WorkerLostError: {delivery_count} workers died of it, one after the other"
        shown = None if task.kind == FINISH else shorten(item)
        pe_id = self._plan.pes[task.pe].id
        return Failure(ProcessingError(pe_id, max(task.instance, 0), phase, shown, reason), item)
