"""The task loop: a worker that takes leases from a task store until it is told to stop.

An item that no place is fixed for is followed down the graph here, in this process, to the end of
its path; that costs nothing per hop.  Only while other workers are idle is work handed back to
the store, in pieces.  What a lease has produced is committed together with its end, and what a
pinned instance has produced together with its state, so a worker may be lost at any moment.

The loop knows nothing of Redis; whatever keeps the rules of `TaskStore` will do.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from itertools import islice
from time import monotonic, perf_counter
from typing import Any

from d4py_dynamic.store.protocols import TAKE_SECONDS, TaskStore
from d4py_dynamic.store.serialization import CODEC, reduced, remaining
from d4py_dynamic.store.tasks import (
    ANY,
    ASSIGN,
    CONTROL_MESSAGES,
    DRAIN,
    FINISH,
    PAUSE,
    REDELIVERIES,
    STOP,
    Attempt,
    Commit,
    Delivery,
    InstanceId,
    Lease,
    ResumePoint,
    StoreStatus,
    Task,
    is_pinned,
    left_of,
)
from d4py_dynamic.worker import load as demand
from d4py_dynamic.worker.backpressure import Backpressure
from d4py_dynamic.worker.outbox import Outbox
from d4py_dynamic.worker.pinned_instance import COMMIT_INTERVAL, PinnedInstance
from d4py_dynamic.worker.preemption import Preemptor
from d4py_dynamic.worker.unsent_items import leave_out_unsent
from d4py_dynamic.worker.usage import UsageReport
from dispel4py.engine.copying import copy_item, share_item
from dispel4py.engine.executor import Executor
from dispel4py.engine.item_ids import Item
from dispel4py.engine.ordered.places import Placed
from dispel4py.engine.plan import Plan
from dispel4py.engine.runner import raise_error
from dispel4py.errors import ItemError, ProcessingError, RunError, shorten
from dispel4py.result import Failure

#: How long what it produced may wait for a commit, in seconds.
COMMIT_SECONDS = 0.2
#: How long it may wait, in seconds, if it would be lost with the worker after that commit.
_TORN_SECONDS = 2.0
#: Bytes that a worker does not gather, whatever else it would wait for.
_TOO_HEAVY = 32 << 20
#: What cannot be done twice, where it would have to be.
_TORN = ResumePoint(0, None)


class Worker:
    """Runs tasks.

    Args:
        plan: the plan; shared PEs have one instance in it.
        store: where tasks come from, and the orders which instances this worker owns.
        rank: number of this worker.
        on_error: ``"stop"`` or ``"skip"``.
        share_items: see `dispel4py.RunOptions`.
        interval: see `PinnedInstance`.
        redeliveries: see `store.tasks.REDELIVERIES`; what was tried more often is skipped,
            for otherwise the run has ended by now.

    Attributes:
        leaving: other workers will go on from here.
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
    ) -> None:
        self._plan = plan
        self._store = store
        self._rank = rank
        self._interval = interval
        self._redeliveries = redeliveries
        self._owned: dict[InstanceId, PinnedInstance] = {}
        self._pinned = [is_pinned(pe) for pe in plan.pes]
        self._outbox = Outbox()
        self._taken: deque[Lease] = deque()
        self._lease: Lease | None = None
        self._attempt: Attempt | None = None
        self._depth = 0
        self._in_hand: list[int] = []
        self._room = Backpressure(plan, store, self._owned, self._in_hand, self)
        self._demand = demand.LoadMonitor()
        self._giving = self._isolated = False
        self._paused = self._stopped = self._aside = False
        self.leaving = False
        self._orphans = 0
        self._committed_at = monotonic()
        self._tally = UsageReport(plan, self._pinned)
        self._skips = on_error == "skip"
        self._executor = Executor(
            plan,
            self,
            is_local=self._is_local,
            rank=rank,
            copier=share_item if share_items else copy_item,
            on_error=self._skip if self._skips else raise_error,
            log=store.log,
            on_batch_end=self._between,
            one_by_one=False,
            leased=True,
            has_unsent=lambda: not self._outbox.is_empty,
        )
        self._relief = Preemptor(self._executor, self._relieve)

    def serve(self) -> None:
        """Take and do tasks until one says stop.

        Raises:
            ProcessingError: a PE raised, and `on_error` says to stop.
            ServiceError: the store failed.
        """
        self._relief.start()
        try:
            with self._executor.closing():
                self._serve()
        finally:
            self._relief.stop()

    def _serve(self) -> None:
        while not self._stopped:
            lease = self.next_lease()
            if lease is not None:
                self.do(lease)
            self.save_what_is_due(at_rest=lease is None)
            self._executor.flush_log()
        if self.leaving:
            self._leave()
        self._end()

    def _tell_changed(self) -> None:
        for changed in self._tally.changed(self._executor):
            self._store.report_undeclared_state(changed)

    # What the executor calls: `OutputHandler` and its hooks.

    def send(self, pe: int, instance: int, input_name: str, items: list[Any]) -> None:
        """See `dispel4py.engine.executor.OutputHandler`."""
        size = len(items) * self._executor.item_bytes
        instance = instance if self._pinned[pe] else ANY
        self._outbox.add_items(pe, instance, input_name, items, size)

    def result(self, pe_id: str, output: str, items: list[Any]) -> None:
        """See `dispel4py.engine.executor.OutputHandler`."""
        self._outbox.add_results(pe_id, output, items, len(items) * self._executor.item_bytes)

    def _skip(self, error: Any, item: Any) -> None:
        self._executor.forbid_split()
        self._outbox.add_failure(Failure(error, item))

    def _is_local(self, pe: int, instance: int) -> bool:
        """An item for this PE is followed here; never into a PE that is in the middle of a call.

        What may have killed a worker is left alone, so that it is known if it does so again.
        """
        return not (
            self._pinned[pe]
            or self._giving
            or self._isolated
            or (
                self._executor.in_call
                and (self._demand.idle > 0 or pe in self._executor.pes_in_call)
            )
        )

    def _between(self) -> bool:
        """Between two batches: is it time to look up?"""
        if not (self._outbox.heavy or self._demand.is_to_be_looked_at):
            return False
        if self._executor.in_call:
            self._look_up_in_call()
            return False
        return True

    # Taking leases.

    def next_lease(self, only: Sequence[InstanceId] | None = None) -> Lease | None:
        """The oldest lease, of some pinned instances alone if they are given."""
        if only is None and self._aside and not self._paused:
            self._take(None, 0.0, pinned=False)
            if self._taken and self._taken[-1].task.instance == ANY:
                return self._taken.pop()
            self._aside = False
        lease = self._first_taken(only)
        if lease is None:
            self._take(only)
            lease = self._first_taken(only)
        return lease

    def next_lease_below(self, pe: int) -> Lease | None:
        """Return the oldest lease of what is below a PE in the graph; wait a little for one."""
        below = {*self._plan.order[self._plan.order.index(pe) + 1 :]}
        below.difference_update(root.index for root in self._plan.roots)
        for seconds in (0.0, demand.LOOK_UP_SECONDS):
            self._take([pin for pin in self._owned if pin[0] in below])
            for i, lease in enumerate(self._taken):
                if lease.task.pe in below:
                    del self._taken[i]
                    return lease
            self._take(None, seconds, pinned=False)
        return None

    def _first_taken(self, only: Sequence[InstanceId] | None) -> Lease | None:
        for i, lease in enumerate(self._taken):
            if only is None or (lease.task.pe, lease.task.instance) in only:
                del self._taken[i]
                return lease
        return None

    def _take(
        self,
        only: Sequence[InstanceId] | None,
        seconds: float = TAKE_SECONDS,
        *,
        pinned: bool = True,
    ) -> None:
        """Take tasks, and do at once what they order."""
        due = [owned.due_at_rest for owned in self._owned.values() if owned.held]
        if due:
            seconds = max(0.0, min(seconds, min(due) - monotonic()))
        for lease in self._store.take(only, seconds, shared=not self._paused, pinned=pinned):
            if lease.task.kind in CONTROL_MESSAGES:
                self._obey(lease)
            else:
                self._taken.append(lease)

    def _obey(self, lease: Lease) -> None:
        task = lease.task
        if task.kind == ASSIGN:
            self._adopt((task.pe, task.instance))
        elif task.kind in (DRAIN, STOP):
            self.leaving, self._stopped = task.kind == DRAIN, True
        else:
            self._paused = task.kind == PAUSE
        self._store.commit(Commit(leases=[lease], attempt=self._attempt))

    def _adopt(self, pin: InstanceId) -> None:
        adopted = self._store.adopt(pin)
        if adopted.position.sent is None:
            raise RunError(
                f"{self._plan.pes[pin[0]].id} (instance {pin[1]}) was lost with its worker: its"
                " state could not be saved there, or it was in the middle of a call that had sent"
                " too much, so no other worker can go on with it"
            )
        self._owned[pin] = PinnedInstance(pin, adopted, self._interval, self._store.largest)
        self._taken += adopted.leases

    # One lease.

    def do(self, lease: Lease) -> None:
        """Do a lease to its end, or as far as it goes now."""
        task = lease.task
        owned = self._owned.get((task.pe, task.instance))
        outer = self._outbox, self._lease, self._depth, self._isolated, self._attempt
        self._outbox = Outbox() if owned is None else owned.outbox
        self._lease, self._depth, self._attempt = lease, len(self._executor.call_stack), None
        self._isolated = lease.delivery_count > 0 if owned is None else owned.in_doubt
        self._in_hand.append(task.pe)
        if self._demand.is_to_be_looked_at:
            self._look_at_idle()
        # A root or a stateful instance cannot move, so it gives its followers away at once;
        # anything else stays with its followers until it turns out to take long.
        self._giving = self.leaving or (
            owned is not None and (self._demand.idle > 0 or owned.in_doubt or self._is_to_feed())
        )
        try:
            with self._executor.fresh_stack():
                if owned is None:
                    self._do_shared(lease)
                else:
                    self._do_pinned(owned, lease)
        finally:
            self._outbox, self._lease, self._depth, self._isolated, self._attempt = outer

    def _do_shared(self, lease: Lease) -> None:
        task, instance = lease.task, 0
        if task.kind == FINISH and task.payload is not None:
            self._orphans += 1  # beside a replica of this worker's own, if it has one
            instance = self._orphans
        self._try(lease, in_call=False)
        if instance:
            self._executor.start(task.pe, instance, CODEC.loads(task.payload))
        else:
            at = lease.position
            self._executor.start(task.pe, 0).track(dict(at.sent or ()), at.call_offset)
        if lease.delivery_count > self._redeliveries:
            lease = self._skip_deadly(lease)
        is_done = True
        if len(self._in_hand) == 1:
            self._relief.on_duty(True)
        if task.kind == FINISH:
            self._tally.replicas.discard(ANY if instance else task.pe)
            if lease.position.done:
                self._executor.close(task.pe, instance)
            else:
                self._try(lease)
                self._executor.finish(task.pe, instance)
        elif self._isolated:
            is_done = self._do_one_by_one(lease)
        else:
            done = lease.position.done
            load = task.payload[done:] if done else task.payload
            self._executor.push(task.pe, 0, task.input_name, load)
        self._drain()
        if len(self._in_hand) == 1:
            self._relief.on_duty(False)
        self._in_hand.pop()
        if is_done:
            self._commit(self._outbox.take([lease], self._demand.idle), at_end=True)

    def _do_one_by_one(self, lease: Lease) -> bool:
        """Do what a worker was lost over, so that it is known which item is to blame.

        Returns:
            False if this worker leaves before the end.
        """
        task = lease.task
        self._try(lease)
        for done in range(lease.position.done + 1, len(task.payload) + 1):
            self._executor.push(task.pe, 0, task.input_name, task.payload[done - 1 : done])
            self._drain()
            if done == len(task.payload):
                break
            runner = self._executor.start(task.pe, 0)
            sent, cut = runner.replay.left_to_drop, runner.replay.next_call_offset
            position = lease.position._replace(done=done, sent=tuple(sent.items()), call_offset=cut)
            runner.track(sent, cut)
            self._lease = lease = lease._replace(position=position)
            commit = self._outbox.take([], self._demand.idle)
            commit.lease_positions, commit.progressed = [(lease, position)], [lease]
            self._commit(commit)  # which tells of the next attempt
            if self.leaving:
                return False
        self._attempt = None
        return True

    def _skip_deadly(self, lease: Lease) -> Lease:
        """Give up what workers have died of; the lease beyond it."""
        task = lease.task
        position = lease.position._replace(done=lease.position.done + 1, sent=(), call_offset=None)
        item = None if task.kind == FINISH else task.payload[lease.position.done]
        self._outbox.add_failure(_deadly(self._plan, task, item, lease.delivery_count))
        if task.kind == FINISH:
            self._executor.start(task.pe, 0).track()
        else:
            self._executor.skip(task.pe, 0, item)
        self._lease = lease = lease._replace(position=position)
        return lease

    def _try(self, suspect: Delivery, *, in_call: bool = True) -> None:
        """Tell what is about to be done, in case that this worker does not survive it either."""
        if self._isolated:
            self._attempt = Attempt(suspect, in_call)
            self._store.commit(Commit(attempt=self._attempt))

    def _do_pinned(self, owned: PinnedInstance, lease: Lease) -> None:
        task = lease.task
        owned.in_hand = True
        self._begin(owned)
        if owned.delivery_count > self._redeliveries:
            self._skip_deadly_of(owned, task)
            if task.kind != FINISH:
                self._step_aside(owned, lease)
                return
        elif task.kind == FINISH:
            self._try(owned.pin)
            self._executor.finish(*owned.pin, close=False)
            self._drain()
        else:
            items = left_of(self._plan, task, owned.done)
            if self._outbox.is_empty:
                self._room.hold(task.pe)
            began_at = monotonic()
            self._try(owned.pin)
            while done := self._executor.feed(
                *owned.pin, task.input_name, islice(items, 1) if owned.in_doubt else items
            ):
                has_left_some = self._drain() or self._isolated
                self._attempt = None
                owned.done += done
                if has_left_some:
                    self._step_aside(owned, lease)
                    return
                if self._demand.is_to_be_looked_at:
                    self._look_at_idle()
                if self._outbox.heavy or monotonic() >= self._due_at(owned, began_at):
                    self._save(owned)
                    self._room.hold(task.pe)
                if self.leaving:  # the next owner goes on from here
                    self._in_hand.pop()
                    owned.in_hand = False
                    return
                began_at = monotonic()
        self._in_hand.pop()
        owned.held.append(lease)
        owned.done, owned.in_hand = 0, False
        if task.kind == FINISH:
            self._save(owned, at_end=True, close=True)
            del self._owned[owned.pin]
        elif self._outbox.heavy or monotonic() >= owned.due_at:
            self._save(owned, at_end=True)
        if task.kind == FINISH and (said := owned.summary()) is not None:
            self._store.log(self._plan.pes[task.pe].id, self._rank, said)

    def _step_aside(self, owned: PinnedInstance, lease: Lease) -> None:
        """Leave a lease in the middle until what follows from it, and was handed back, is done."""
        self._in_hand.pop()
        owned.in_hand = False
        self._taken.appendleft(lease)
        self._aside = True
        self._save(owned, at_end=True)

    def _begin(self, owned: PinnedInstance) -> None:
        """Make the instance, if it is not there; where it is in doubt, as a step of its own."""
        if owned.in_doubt and not owned.is_begun:
            is_new = owned.is_new
            self._try(owned.pin, in_call=False)
            self._start(owned)
            self._attempt = None
            owned.begin()
            if is_new:
                self._save(owned)
        owned.begin()
        self._start(owned)

    def _skip_deadly_of(self, owned: PinnedInstance, task: Task) -> None:
        """Give up what owners of an instance have died of."""
        item = None
        if task.kind != FINISH:
            (item,) = islice(left_of(self._plan, task, owned.done), 1)
            if task.input_name in self._plan.pes[task.pe].ordered:
                raise RunError(
                    f"{self._plan.pes[task.pe].id} (instance {task.instance}) was lost"
                    f" {owned.delivery_count} times: its input {task.input_name!r} is ordered,"
                    " so the item to blame is not known and none can be skipped"
                )
            owned.done += 1
            self._start(owned)
            self._executor.skip(*owned.pin, item)
            self._drain()
        self._outbox.add_failure(_deadly(self._plan, task, item, owned.delivery_count))
        owned.delivery_count = 0

    def _start(self, owned: PinnedInstance) -> Any:
        """The runner of an instance; see `Executor.start`."""
        return self._executor.start(*owned.pin, owned.restored(), owned.sent_before, owned.cut)

    def _due_at(self, owned: PinnedInstance, began_at: float) -> float:
        """When to save an instance in the middle of a lease.

        At once if others are idle, and if the next items may take long as the last ones did.
        """
        if self._demand.idle or owned.in_doubt or monotonic() - began_at > demand.LOOK_UP_SECONDS:
            return owned.due_at
        return max(owned.due_at, self._committed_at + COMMIT_SECONDS)

    def _drain(self) -> bool:
        """Run what waits here to its end, or hand it back if it takes long.

        Returns:
            True if something was handed back though nobody was idle.
        """
        has_left_some = False
        while not self._executor.drain():
            idle = self._look_at_idle()
            if idle or self._outbox.heavy or self._is_commit_due():
                has_left_some |= self._hand_back() and not idle
        return has_left_some

    def _is_commit_due(self) -> bool:
        return monotonic() - self._committed_at > COMMIT_SECONDS

    def _look_up_in_call(self) -> None:
        """In the middle of a call: feed idle workers, and let results flow."""
        if not (self._look_at_idle() or self._outbox.heavy or self._is_commit_due()):
            return
        if self._giving or not self._demand.backlog or self._outbox.weight > _TOO_HEAVY:
            self._hand_back()
        if not self._executor.is_drained:
            return  # what follows from the same items goes first
        lease = self._lease
        assert lease is not None
        pin = lease.task.pe, max(lease.task.instance, 0)
        owned = self._owned.get((lease.task.pe, lease.task.instance))
        runner = self._executor.start(*pin)
        # What the lease's own PE has sent is known by its number; further down it is not, nor where
        # threads have written, in an order that is another one next time.
        can_be_repeated = (
            self._executor.call_stack[self._depth :] == [pin] and not runner.is_unrepeatable
        )
        waited = monotonic() - self._committed_at
        is_torn = lease.position.sent is None or (owned is not None and owned.is_torn)
        if not (can_be_repeated or is_torn or self._outbox.heavy or waited > _TORN_SECONDS):
            return
        commit = self._outbox.take([], self._demand.idle)
        # Whoever does the lease again fails again at what its own PE failed at.
        failures, commit.failures = commit.failures, []
        for failure in failures:
            if failure.pe_id == runner.planned.id:
                self._outbox.add_failure(failure)
            else:
                commit.failures.append(failure)
        if owned is not None:
            position = owned.position(runner) if can_be_repeated else _TORN
            commit.instance_positions = [(owned.pin, position)]
            commit.progressed = [owned.pin] if owned.gets_on(position) else []
        else:
            sent = tuple(runner.replay.sent_in_total.items()) if can_be_repeated else None
            position = lease.position._replace(sent=sent, call_offset=runner.replay.call_offset)
            commit.lease_positions = [(lease, position)]
            commit.progressed = [lease] if position != lease.position else []
            self._lease = lease._replace(position=position)
        self._commit(commit)
        if self._executor.call_stack == [pin]:
            self._room.hold(lease.task.pe)

    def _look_at_idle(self) -> bool:
        """Whether others should have what waits here."""
        self._note(self._store.status())
        return self._giving

    def _note(self, status: StoreStatus) -> None:
        """Take note of how things are elsewhere, and of orders."""
        self._demand.note(status)
        if status.has_messages:
            self._take(())
        self._giving = self.leaving or self._demand.idle > 0 or self._is_to_feed()

    def _is_to_feed(self) -> bool:
        """Others were idle a moment ago, and only here can there be more for them.

        So they get something in stock before a root is held up by what follows from it.
        """
        return (
            self._demand.is_for_stock
            and self._lease is not None
            and self._pinned[self._lease.task.pe]
        )

    def _hand_back(self) -> bool:
        """Make what waits here tasks that any worker can take; False if there is nothing."""
        lease, resumed = self._lease, ANY
        if (
            lease is not None
            and lease.position.sent
            and not self._pinned[lease.task.pe]
            and self._executor.start(lease.task.pe, 0).replay.left_to_drop
        ):  # some of what a lost worker had sent is still to be dropped; only here is it known
            resumed = lease.task.pe
        waiting = self._executor.take_waiting(lambda pe: self._pinned[pe] or pe == resumed)
        for pe, _, input_name, items in waiting:
            self._outbox.give_away(pe, input_name, items)
        return bool(waiting)

    def _relieve(self) -> None:
        """In the middle of a call that takes long: commit all but that call.

        What waits behind it is given away; what is left of the lease is the items in hand.
        """
        lease = self._lease
        if lease is None or lease.task.kind == FINISH or len(self._in_hand) != 1 or self._isolated:
            return
        first = self._executor.start(lease.task.pe, 0)
        if first.replay.left_to_drop or first.replay.next_call_offset is not None:
            return  # only here is it known what a lost worker had sent already
        if not self._can_be_written_down(lease.task):
            return
        has_results = self._executor.has_written or not self._outbox.is_empty
        is_due = self._is_commit_due() and has_results
        if not is_due and not (self._executor.has_pending and self._store.status().idle):
            return
        (pe, _, input_name, batch), rest = self._executor.split_batch(lambda pe: self._pinned[pe])
        for waiting, _, name, items in rest:
            self._outbox.give_away(waiting, name, items)
        position = reduced(lease.task, pe, input_name or "", batch)
        self._lease = lease._replace(task=remaining(lease.task, position), position=position)
        self._executor.start(pe, 0).track()
        commit = self._outbox.take([], 1)
        commit.lease_positions = [(lease, position)]
        self._commit(commit, waits=False)

    def _can_be_written_down(self, task: Task) -> bool:
        """The batch in hand can be told to who comes after, though its PE may be changing it.

        Items of the task itself are told by their place in it; others must be unchangeable.
        """
        pe, items = self._executor.current_items
        return pe == task.pe or all(copy_item(item) is item for item in items)

    def _leave(self) -> None:
        """Leave everything as somebody else can go on with it."""
        for owned in [*self._owned.values()]:
            self._save(owned, at_end=True, close=True)
        with suppress(ItemError):  # what cannot be pickled is lost, and the driver says so
            for pe in self._tally.replicas:
                replica = self._executor.start(pe, 0).snapshot(CODEC.dumps_state)
                self._executor.close(pe, 0)  # before others go on with what it has written
                self._store.commit(Commit(orphans=[(pe, replica)]))

    def _end(self) -> None:
        """Let go of the instances that are still here, which have no postprocess."""
        self._outbox = Outbox()
        self._executor.close_all()
        self._executor.flush_log()
        self._tell_changed()
        commit = self._outbox.take([], 0)
        if commit.failures:
            self._store.commit(commit)

    # Commits.

    def save_what_is_due(self, *, at_rest: bool, waits: bool = True) -> None:
        """Save the pinned instances whose time it is; see `_commit`."""
        for owned in [*self._owned.values()]:
            due_at = owned.due_at_rest if at_rest else owned.due_at
            if owned.held and not owned.in_hand and monotonic() >= due_at:
                self._save(owned, at_end=True, waits=waits)

    def _save(
        self,
        owned: PinnedInstance,
        *,
        at_end: bool = False,
        waits: bool = True,
        close: bool = False,
    ) -> None:
        """Commit everything that a pinned instance has done, with its state.

        Args:
            owned: the instance.
            at_end: see `_commit`.
            waits: see there.
            close: let go of it before the commit; it is done, or others go on with it.
        """
        state, position = owned.checkpoint(self._start(owned))
        if owned.unsaved is not None:
            why, owned.unsaved = owned.unsaved, None
            pe_id = self._plan.pes[owned.pin[0]].id
            self._store.log(pe_id, self._rank, f"the run fails if this worker is lost: {why}")
        if close:
            self._executor.close(*owned.pin)
        commit = owned.outbox.take(owned.held, self._demand.idle)
        commit.states, commit.instance_positions = [(owned.pin, state)], [(owned.pin, position)]
        commit.progressed = [owned.pin] if owned.gets_on(position) else []
        self._commit(commit, at_end=at_end, waits=waits, owned=owned)

    def _commit(
        self,
        commit: Commit,
        *,
        at_end: bool = False,
        waits: bool = True,
        owned: PinnedInstance | None = None,
    ) -> None:
        """Commit, and wait for room where receivers are behind.

        Args:
            commit: the commit.
            at_end: no lease goes on that has not ended.
            waits: False if somebody waits for room already.
            owned: whose checkpoint it is.
        """
        if self._relief.error is not None:
            raise self._relief.error
        self._tell_changed()
        self._tally.add_to(commit, self._executor)
        commit.attempt = self._attempt
        started_at = perf_counter()
        try:
            status = self._store.commit(commit)
        except ItemError:
            largest = self._store.largest
            leave_out_unsent(self._plan, commit, skips=self._skips, largest=largest)
            status = self._store.commit(commit)
        if owned is not None:
            owned.saved(perf_counter() - started_at)
        self._committed_at = monotonic()
        self._room.note(status)
        self._note(status)
        if waits:
            self._room.wait(status, at_end=at_end)


def _deadly(plan: Plan, task: Task, item: Any, losses: int) -> Failure:
    """What is said of an item that workers have died of, one after the other."""
    item = item.data if isinstance(item, Item | Placed) else item
    phase = "postprocess" if task.kind == FINISH else "process"
    reason = f"WorkerLostError: {losses} workers died of it, one after the other"
    shown = None if task.kind == FINISH else shorten(item)
    pe_id = plan.pes[task.pe].id
    return Failure(ProcessingError(pe_id, max(task.instance, 0), phase, shown, reason), item)
