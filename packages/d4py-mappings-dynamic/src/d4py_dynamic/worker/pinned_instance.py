"""A pinned instance at its owner: what it has done since its last checkpoint.

A checkpoint is a commit that holds the instance's state, what it has read and what it has sent.
Checkpoints are as frequent as they are cheap: they take a twentieth of the owner's time at the
most, but no result waits for one longer than the commit interval.
"""

from __future__ import annotations

from time import monotonic, thread_time

from d4py_dynamic.store.entries import check_size
from d4py_dynamic.store.serialization import CODEC
from d4py_dynamic.store.tasks import AdoptedInstance, InstanceId, Lease, ResumePoint
from d4py_dynamic.worker.limits import WorkerLimits
from d4py_dynamic.worker.outbox import Outbox
from dispel4py.core import GenericPE
from dispel4py.engine.calls.runner import Runner
from dispel4py.engine.execution.leased_executor import LeasedExecutor
from dispel4py.engine.items.codec import MAX_OBJECTS, loads_state
from dispel4py.engine.items.item_ids import InstanceSnapshot
from dispel4py.engine.items.reorder_buffer import OrderedSnapshot
from dispel4py.errors import ItemError
from dispel4py.pickling.interned_strings import PrimedMemo

#: Longest time between two checkpoints in seconds, unless the user says otherwise.
COMMIT_INTERVAL = 1.0

#: The position of a call that cannot be repeated without sending something twice.
UNREPEATABLE = ResumePoint(0, None)


class PinnedInstance:
    """A pinned instance, as its owner sees it.

    Args:
        pin: the instance.
        adopted: as its last owner left it.
        interval: longest time between two checkpoints, in seconds; None takes no checkpoints, so
            that the instance is lost with its owner.
        largest: see `TaskStore`.
        limits: of the worker.

    Attributes:
        outbox: what it has sent since the last checkpoint and was not committed.
        ended: leases that have ended since the last checkpoint.
        done: how much of its current lease is done, in items or calls.
        cost: how long the last checkpoint took to make, in seconds.
        delivery_count: see `AdoptedInstance`.
        save_error: why it cannot be saved, until that was reported.
    """

    def __init__(
        self,
        pin: InstanceId,
        adopted: AdoptedInstance,
        interval: float | None = COMMIT_INTERVAL,
        largest: int | None = None,
        limits: WorkerLimits = WorkerLimits(),
    ) -> None:
        self.pin = pin
        self.outbox = Outbox(limits)
        self.ended: list[Lease] = []
        self.done = adopted.position.done
        self.cost = 0.0
        self.save_error: str | None = None
        self.delivery_count = adopted.delivery_count
        self._limits = limits.checkpoints
        self._sent_before = dict(adopted.position.sent or ())
        self._call_offset = adopted.position.call_offset
        self._probation_seconds = self._limits.probation_seconds if adopted.delivery_count else 0.0
        self._probation_end: float | None = None
        self._state = adopted.state
        self._state_bytes = self._count = 0
        self._total_cost = 0.0
        self._saved_done = self.done
        self._committed = adopted.position
        self._saved_at = monotonic()
        self._interval = interval
        self._largest = largest
        self._can_be_saved = interval is not None
        self._known = PrimedMemo(MAX_OBJECTS)

    # Its start.

    def start(self, executor: LeasedExecutor) -> Runner:
        """Return its runner; the first call makes it, and preprocesses the PE if it is new."""
        restored = self.restored(executor.plan.pes[self.pin[0]].id)
        return executor.start(*self.pin, restored, self._sent_before, self._call_offset)

    def restored(self, pe_id: str) -> GenericPE | InstanceSnapshot | OrderedSnapshot | None:
        """Return the PE as the last owner left it, once; None if it had not been started.

        Args:
            pe_id: its id.

        Raises:
            RunError: see `loads_state`.
        """
        state, self._state = self._state, None
        pe: GenericPE | InstanceSnapshot | OrderedSnapshot | None = (
            None if state is None else loads_state(state, pe_id)
        )
        return pe

    def begin(self) -> None:
        """Note that it has been started; its probation begins with the first call."""
        if self._probation_end is None:
            self._probation_end = monotonic() + self._probation_seconds

    @property
    def is_started(self) -> bool:
        """This worker has started it."""
        return self._probation_end is not None

    @property
    def is_new(self) -> bool:
        """No owner has left a state of it, so it has to be preprocessed."""
        return self._state is None

    @property
    def on_probation(self) -> bool:
        """Its last owner was lost with leases of it, and one of their items may be the reason.

        For a while its items are processed one by one, each with a checkpoint.  So if an item ends
        this owner too, it is known which.
        """
        until = self._probation_end
        return self._probation_seconds > 0 if until is None else monotonic() < until

    # Its position.

    @property
    def is_unrepeatable(self) -> bool:
        """Its current call has committed something, and cannot be repeated."""
        return self._can_be_saved and self._committed.sent is None

    def advance(self, position: ResumePoint) -> bool:
        """Note the position that is about to be committed; return whether it is a further one."""
        is_further = bool(self.ended) or position != self._committed
        self._committed = position
        if is_further:
            self.delivery_count = 0
        return is_further

    def position(self, runner: Runner) -> ResumePoint:
        """Return how far it has come since the last checkpoint, in the middle of a call."""
        if not self._can_be_saved:
            return UNREPEATABLE
        sent, offset = tuple(runner.replay.sent_in_total.items()), runner.replay.call_offset
        return ResumePoint(self._saved_done, sent, offset, ahead=runner.roots_to_pause)

    # Its checkpoints.

    @property
    def due_at(self) -> float:
        """When the next checkpoint is due, on the monotonic clock, while there is work."""
        is_at_once = self._interval is None or self.on_probation
        if is_at_once or len(self.ended) >= self._limits.held_leases:
            return self._saved_at
        return self._due_after(self._limits.work_per_cost)

    @property
    def due_at_rest(self) -> float:
        """The same while there is nothing else to do."""
        return self._due_after(self._limits.rest_per_cost)

    def _due_after(self, seconds_per_cost: float) -> float:
        if self._interval is None:
            return self._saved_at
        return self._saved_at + min(self._interval, seconds_per_cost * self.cost)

    def checkpoint(self, runner: Runner) -> tuple[bytes | None, ResumePoint]:
        """Return the state now, between two calls, and the position that goes with it."""
        started_at = thread_time()  # time in which other processes have the core is no cost
        state = None
        if self._can_be_saved:
            try:
                state = runner.snapshot(lambda pe: CODEC.dumps_state(pe, self._known))
                check_size(len(state or b""), self._largest)
            except ItemError as error:
                state, self._can_be_saved = None, False
                self.save_error = str(error)
        self._saved_done = self.done
        self._state_bytes = len(state or b"")
        # A lost owner may have come further than this state; what it sent is still to be dropped.
        sent, offset = runner.replay.left_to_drop, runner.replay.next_call_offset
        runner.track(sent, offset)
        self.cost = thread_time() - started_at
        self._count += 1
        sent_now = tuple(sent.items()) if self._can_be_saved else None
        return state, ResumePoint(self.done, sent_now, offset, ahead=runner.roots_to_pause)

    def saved(self, seconds: float) -> None:
        """Note that the checkpoint was committed, which took so many seconds."""
        self.ended = []
        self.outbox.state_bytes = self._state_bytes
        # There would have been a commit anyway, but a smaller one.
        self.cost += seconds * self._state_bytes / (self._state_bytes + self._limits.commit_bytes)
        self._total_cost += self.cost
        self._saved_at = monotonic()

    def summary(self) -> str | None:
        """Return a line on what its checkpoints have cost; None if that is not worth a line."""
        if self._total_cost < self._limits.reported_seconds:
            return None
        size = self._state_bytes / 1e6
        return (
            f"{self._count} checkpoints took {self._total_cost:.1f} s, the last one of"
            f" {size:.1f} MB; with a longer --commit-interval there are fewer, with less state they"
            " are cheaper"
        )
