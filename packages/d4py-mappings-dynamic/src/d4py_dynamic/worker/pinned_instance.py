"""A pinned instance in the hands of its owner: what it has done since its last checkpoint.

A checkpoint is a commit that holds the instance's state, what it has read and what it has sent.
Checkpoints are as frequent as they are cheap: they take a twentieth of the owner's time at the
most, but no result waits for one longer than the commit interval.
"""

from __future__ import annotations

from time import monotonic, thread_time

from d4py_dynamic.store.entries import check_size
from d4py_dynamic.store.serialization import CODEC
from d4py_dynamic.store.tasks import AdoptedInstance, InstanceId, Lease, ResumePoint
from d4py_dynamic.worker.outbox import Outbox
from dispel4py.core import GenericPE
from dispel4py.engine.codec import MAX_OBJECTS
from dispel4py.engine.item_ids import InstanceSnapshot
from dispel4py.engine.ordered.reorder_buffer import OrderedSnapshot
from dispel4py.engine.runner import Runner
from dispel4py.errors import ItemError
from dispel4py.pickling.interned_strings import PrimedMemo

#: Seconds of work per second of checkpoints, and the same while there is nothing else to do.
_WORK_PER_COST, _REST_PER_COST = 20.0, 4.0
#: Longest time between two checkpoints in seconds, unless the user says otherwise.
COMMIT_INTERVAL = 1.0
#: Checkpoints that took so many seconds in all are told of at the end.
_WORTH_A_WORD = 1.0
#: About so much does a commit take along without a state, in bytes.
_ANYWAY_BYTES = 1 << 16
#: Leases that may be held back until a checkpoint.
_MOST_HELD = 64
#: For how many seconds an instance is in doubt whose last owner was lost.
_DOUBT_SECONDS = 1.0


class PinnedInstance:
    """What the owner knows of a pinned instance.

    Args:
        pin: the instance.
        adopted: as its last owner left it.
        interval: longest time between two checkpoints, in seconds; None takes no checkpoints, so
            that the instance is lost with its owner.
        largest: see `TaskStore`.

    Attributes:
        outbox: what it has sent since the last checkpoint and was not committed.
        held: leases that are done and not committed.
        in_hand: it is in the middle of a lease.
        done: how much of that lease is done, in items or calls.
        sent_before: see `Runner.track`; for the first start.
        cut: see there.
        cost: how long the last checkpoint took to make, in seconds.
        losses: see `AdoptedInstance`.
        unsaved: why it cannot be saved, until that was told.
    """

    def __init__(
        self,
        pin: InstanceId,
        adopted: AdoptedInstance,
        interval: float | None = COMMIT_INTERVAL,
        largest: int | None = None,
    ) -> None:
        self.pin = pin
        self.outbox = Outbox()
        self.held: list[Lease] = []
        self.in_hand = False
        self.done = adopted.position.done
        self.sent_before = dict(adopted.position.sent or ())
        self.cut = adopted.position.call_offset
        self.cost = 0.0
        self.unsaved: str | None = None
        self.delivery_count = adopted.delivery_count
        self._doubt_seconds = _DOUBT_SECONDS if adopted.delivery_count else 0.0
        self._in_doubt_until: float | None = None
        self._state = adopted.state
        self._state_bytes = self._count = 0
        self._spent = 0.0
        self._saved_done = self.done
        self._told = adopted.position
        self._saved_at = monotonic()
        self._interval = interval
        self._largest = largest
        self._can_be_saved = interval is not None
        self._known = PrimedMemo(MAX_OBJECTS)

    def restored(self) -> GenericPE | InstanceSnapshot | OrderedSnapshot | None:
        """The PE as the last owner left it; None if it had not begun."""
        state, self._state = self._state, None
        pe: GenericPE | InstanceSnapshot | OrderedSnapshot | None = (
            None if state is None else CODEC.loads(state)
        )
        return pe

    @property
    def in_doubt(self) -> bool:
        """Its last owner was lost with tasks of it, perhaps by one of them.

        So for a while they are done one by one, each with a checkpoint: the one to blame, if it
        kills this owner too, is left alone in the middle.
        """
        until = self._in_doubt_until
        return self._doubt_seconds > 0 if until is None else monotonic() < until

    def begin(self) -> None:
        """It is worked on from now on."""
        if self._in_doubt_until is None:
            self._in_doubt_until = monotonic() + self._doubt_seconds

    @property
    def is_begun(self) -> bool:
        """It is worked on here."""
        return self._in_doubt_until is not None

    @property
    def is_new(self) -> bool:
        """No owner has left a state of it, so it has to be preprocessed."""
        return self._state is None

    @property
    def is_torn(self) -> bool:
        """It has committed something of a call that cannot be repeated, in this call."""
        return self._can_be_saved and self._told.sent is None

    def gets_on(self, position: ResumePoint) -> bool:
        """Whether it is further than its last commit, now that it commits this position."""
        is_further = bool(self.held) or position != self._told
        self._told = position
        if is_further:
            self.delivery_count = 0
        return is_further

    @property
    def due_at(self) -> float:
        """When the next checkpoint is due, on the monotonic clock, while there is work."""
        if self._interval is None or self.in_doubt or len(self.held) >= _MOST_HELD:
            return self._saved_at
        return self._saved_at + min(self._interval, _WORK_PER_COST * self.cost)

    @property
    def due_at_rest(self) -> float:
        """The same while there is nothing else to do."""
        if self._interval is None:
            return self._saved_at
        return self._saved_at + min(self._interval, _REST_PER_COST * self.cost)

    def position(self, runner: Runner) -> ResumePoint:
        """How far it has come since the last checkpoint, in the middle of a call of its PE."""
        if not self._can_be_saved:
            return ResumePoint(0, None)
        sent = tuple(runner.replay.sent_in_total.items())
        return ResumePoint(
            self._saved_done, sent, runner.replay.call_offset, ahead=runner.roots_to_pause
        )

    def checkpoint(self, runner: Runner) -> tuple[bytes | None, ResumePoint]:
        """The state now, between two calls, and the position that goes with it."""
        started_at = thread_time()  # what else the machine does is no cost of ours
        state = None
        if self._can_be_saved:
            try:
                state = runner.snapshot(lambda pe: CODEC.dumps_state(pe, self._known))
                check_size(len(state or b""), self._largest)
            except ItemError as error:
                state, self._can_be_saved = None, False
                self.unsaved = str(error)
        self._saved_done = self.done
        self._state_bytes = len(state or b"")
        # Another owner may have come further than this state; what it sent is still to be dropped.
        sent, cut = runner.replay.left_to_drop, runner.replay.next_call_offset
        runner.track(sent, cut)
        self.cost = thread_time() - started_at
        self._count += 1
        has_sent = tuple(sent.items()) if self._can_be_saved else None
        return state, ResumePoint(self.done, has_sent, cut, ahead=runner.roots_to_pause)

    def saved(self, seconds: float) -> None:
        """The checkpoint was committed, which took so many seconds."""
        self.held = []
        self.outbox.least_heavy = self._state_bytes
        # There would have been a commit anyway, but a smaller one.
        self.cost += seconds * self._state_bytes / (self._state_bytes + _ANYWAY_BYTES)
        self._spent += self.cost
        self._saved_at = monotonic()

    def summary(self) -> str | None:
        """What its checkpoints have cost, if that is worth a word."""
        if self._spent < _WORTH_A_WORD:
            return None
        size = self._state_bytes / 1e6
        return (
            f"{self._count} checkpoints took {self._spent:.1f} s, the last one of {size:.1f} MB;"
            " with a longer --commit-interval there are fewer, with less state they are cheaper"
        )
