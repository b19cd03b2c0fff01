"""The main loop of all fixed mappings: a rank runs the instances that were placed in it.

An instance is complete, and postprocessed, when every instance upstream has reported its own
completion.  Batches fill while their receiver is busy and are sent at once when it is idle: a
receiver answers each batch with a credit when it has processed it, and a sender keeps few batches
in flight.

Ranks never deadlock.  Between batches a rank processes whatever is not upstream of a congested
receiver.  In the middle of a batch it waits only for receivers further down the graph than what it
is processing, and meanwhile processes what is further down than that.  So the congested receiver
that is furthest down is always making progress: its rank is processing nothing that could have to
wait for others, and nothing that keeps it from that receiver.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING, Any

from d4py_fixed.engine.call_flusher import CallFlusher
from d4py_fixed.engine.frame_sender import FrameSender
from d4py_fixed.engine.frame_transport import FrameTransport
from d4py_fixed.engine.frames import (
    Activity,
    Calls,
    Credit,
    Frame,
    InstanceDone,
    Items,
    LogLine,
    PauseRoots,
    RankEnded,
    Shutdown,
)
from d4py_fixed.engine.limits import RankLimits
from d4py_fixed.engine.placement import Instance, Placement
from d4py_fixed.engine.root_pauses import RootPauses
from d4py_fixed.engine.send_buffers import SendBuffers
from dispel4py.engine.calls.runner_options import OnError, raise_error
from dispel4py.engine.execution.entered_executor import EnteredExecutor
from dispel4py.engine.execution.executor import Executor
from dispel4py.engine.execution.pickled_items import UnreadItem, drop_unread, pickling_copier
from dispel4py.engine.failures import skip_item
from dispel4py.engine.inputs import CallRange
from dispel4py.engine.items.copying import copy_item, share_item
from dispel4py.engine.planning.plan import Ancestors, PlannedPE

if TYPE_CHECKING:
    from dispel4py.engine.execution.metering import Meter, MeterReport


class Rank:
    """Runs one rank's instances.

    Args:
        placement: the plan, and which rank runs what.
        rank: number of this rank.
        frames: to and from the other ranks; the driver is rank number `placement.ranks`.
        on_error: ``"stop"`` or ``"skip"``.
        share_items: see `dispel4py.RunOptions`.
        observed: report to the driver what the instances do.
        any_thread: `frames` can be used by one thread after another; see `Executor`.
        limits: bounds and intervals; None for those that follow from the plan's limits.
        clock: the time in seconds.
    """

    def __init__(
        self,
        placement: Placement,
        rank: int,
        frames: FrameTransport,
        on_error: str = "stop",
        share_items: bool = False,
        observed: bool = False,
        any_thread: bool = True,
        limits: RankLimits | None = None,
        clock: Callable[[], float] = perf_counter,
    ) -> None:
        self._placement = placement
        self._plan = placement.plan
        self._rank = rank
        self._frames = frames
        self._driver = placement.ranks
        self._clock = clock
        if limits is None:
            limits = RankLimits.of(self._plan.limits)
        self._wait_seconds = limits.wait_seconds
        self._meter = self._make_meter() if observed else None
        self._instances = placement.instances_on(rank)
        self._pes_downstream_first = [*dict.fromkeys(pe for pe, _ in reversed(self._instances))]
        self._position = {pe: i for i, pe in enumerate(self._plan.order)}
        self._ancestors = Ancestors(self._plan)
        self._receivers = {pe.index: _receivers_of(pe) for pe in self._plan.pes}
        #: Instances of each PE that are not complete, and those of this rank that are.
        self._incomplete = {pe.index: pe.instances for pe in self._plan.pes}
        self._complete: set[Instance] = set()
        self._batches: dict[int, deque[tuple[int, Items]]] = {
            pe: deque() for pe, _ in self._instances
        }
        self._calls: dict[int, deque[tuple[int, CallRange]]] = {
            pe: deque() for pe, _ in self._instances if self._plan.pes[pe].is_root
        }
        self._have_all_calls: set[Instance] = set()
        #: PEs whose batches or calls are being processed; no later batch may overtake them.
        self._processing: list[int] = []
        self._is_shut_down = False
        self._copier = share_item if share_items else copy_item
        self._on_error: OnError = raise_error if on_error == "stop" else self._skip
        self._sender = FrameSender(placement, rank, frames, self._on_error)
        self._buffers = SendBuffers(
            self._sender,
            placement.shared_inputs(rank),
            limits,
            clock,
            {pe.index: pe.batch.size for pe in self._plan.pes if pe.batch is not None},
        )
        sending_copier = None
        if frames.keep is not None and not share_items:
            sending_copier = partial(pickling_copier, frames.keep)
        self._pauses = RootPauses(placement, rank, frames.send)
        has_flusher = any_thread and bool(self._calls)
        make_executor = EnteredExecutor if has_flusher else Executor
        self._executor = make_executor(
            self._plan,
            self,
            is_local=lambda pe, instance: placement.rank_of[pe, instance] == rank,
            rank=rank,
            copier=self._copier,
            sending_copier=sending_copier,
            on_error=self._on_error,
            log=self._log,
            on_batch_end=self._on_batch_end,
            one_by_one=False,
            has_unsent=self._buffers.has_waiting,
            any_thread=any_thread,
            lets_wait=True,
            meter=self._meter,
            clock=clock,
        )
        self._flusher: CallFlusher | None = None
        if isinstance(self._executor, EnteredExecutor):
            self._flusher = CallFlusher(self._executor, self._send_in_call, limits.call_seconds)

    def run(self) -> None:
        """Run until all instances of all ranks are complete.

        Raises:
            ProcessingError: a PE raised, and `on_error` is ``"stop"``.
        """
        with self._executor.closing(), self._flusher.running() if self._flusher else nullcontext():
            for pe, instance in reversed(self._instances):  # a preprocess may write
                self._executor.start(pe, instance)
            self._drain()
            self._receive(0.0)
            while len(self._complete) < len(self._instances):
                if self._process_next() or self._finish_next():
                    self._receive(0.0)
                else:
                    self._wait_for_frame()
        self._flush_all()
        self._executor.flush_log()
        self._frames.send(self._driver, RankEnded(self._executor.stats))
        while not self._is_shut_down:
            self._receive(self._wait_seconds)
        self._executor.end_log()

    # The executor's hooks and its `OutputHandler`.

    def send(self, pe: int, instance: int, input_name: str, items: list[Any]) -> None:
        """See `dispel4py.engine.execution.executor.OutputHandler`."""
        size = len(items) * self._executor.item_bytes
        self._buffers.add_items(pe, instance, input_name, items, size)

    def result(self, pe_id: str, output: str, items: list[Any]) -> None:
        """See `dispel4py.engine.execution.executor.OutputHandler`."""
        self._buffers.add_results(pe_id, output, items, len(items) * self._executor.item_bytes)

    def _skip(self, error: Any, item: Any) -> None:
        self._buffers.add_failure(skip_item(error, item, self._copier))

    def _log(self, pe_id: str, rank: int, message: str) -> None:
        self._frames.send(self._driver, LogLine(pe_id, rank, message))

    def _make_meter(self) -> Meter:
        from dispel4py.engine.execution.metering import Meter

        def send(report: MeterReport) -> None:
            self._frames.send(self._driver, Activity(report))

        def queues() -> list[tuple[str, int]]:
            waiting = {
                pe: sum(len(batch.items) for _, batch in self._batches[pe]) for pe in self._batches
            }
            return [(self._plan.pes[pe].id, count) for pe, count in waiting.items() if count]

        return Meter(self._plan, self._rank, send, queues, self._clock)

    def _on_batch_end(self) -> bool:
        self._buffers.flush()
        self._executor.flush_log()
        self._pauses.request(self._executor.roots_to_pause)
        if self._buffers.has_waiting() or self._pauses:
            self._receive(0.0)
            self._buffers.flush()
            self._apply_backpressure()
        return False

    def _send_in_call(self) -> None:
        """Send what waits in the middle of a call, from the flusher's thread."""
        if self._buffers.has_waiting():
            self._receive(0.0)
            self._buffers.flush(idle=True)

    # Steps of the main loop.

    def _process_next(self) -> bool:
        """Process a batch that has arrived, or call a root; return False if neither is possible."""
        due = self._executor.waiting.due_pes(self._pauses.at_once)
        ready = [
            pe
            for pe in self._pes_downstream_first
            if self._batches[pe] or pe in due or self._calls.get(pe)
        ]
        if not ready or self._buffers.are_results_congested:
            return False
        paused = {
            pe for receiver in self._buffers.congested_pes() for pe in self._ancestors[receiver]
        }
        floor = self._floor()
        for pe in ready:
            if self._position[pe] <= floor:
                return False
            if pe in paused:
                continue
            if pe in due:
                self._process_waiting(pe)
                return True
            if self._batches[pe]:
                self._process_batch(pe)
                return True
            if self._calls.get(pe) and floor < 0 and not self._pauses.is_paused(pe):
                self._call_root(pe)
                return True
        return False

    def _process_batch(self, pe: int) -> None:
        sender, batch = self._batches[pe].popleft()
        senders = [sender]
        if self._plan.pes[pe].batch is not None:
            batch = self._merged(pe, batch, senders)
        credit = Credit(pe, batch.instance)
        with self._holding_back(pe):
            self._executor.push(*batch)
            del batch  # the executor owns its items now; see `engine.items.unreachable_items`
            self._executor.drain()
        for sender in senders:
            self._frames.send(sender, credit)

    def _merged(self, pe: int, batch: Items, senders: list[int]) -> Items:
        """Return a batch with the items of those that arrived next, as far as they fit in.

        Args:
            pe: number of a PE that takes batches.
            batch: the batch.
            senders: its sender; those of the others are added.
        """
        bounds, arrived = self._plan.pes[pe].batch, self._batches[pe]
        items = batch.items
        while arrived and bounds is not None:
            sender, following = arrived[0]
            fits = len(items) + len(following.items) <= bounds.size
            if not fits or following[:3] != batch[:3]:  # of another instance or input
                break
            arrived.popleft()
            senders.append(sender)
            items += following.items
        return batch

    def _process_waiting(self, pe: int) -> None:
        """Process items that have waited long enough for others, to become a batch."""
        with self._holding_back(pe):
            self._executor.process_waiting([pe])
            self._drain()

    def _call_root(self, pe: int) -> None:
        instance, calls = self._calls[pe].popleft()
        with self._holding_back(pe), self._flusher or nullcontext():
            if rest := self._executor.call_range(pe, instance, calls):
                self._calls[pe].appendleft((instance, rest))
            else:
                self._frames.send(self._driver, Credit(pe, instance))
        self._on_batch_end()

    def _finish_next(self) -> bool:
        """Postprocess an instance that has received everything; return False if there is none."""
        for pe, instance in self._instances:
            if (pe, instance) not in self._complete and self._has_received_all(pe, instance):
                with self._holding_back(pe):
                    self._executor.finish(pe, instance)
                    self._drain()
                self._flush_all(self._receivers[pe])
                self._complete.add((pe, instance))
                self._incomplete[pe] -= 1
                for rank in sorted(self._placement.ranks_of(self._receivers[pe]) - {self._rank}):
                    self._frames.send(rank, InstanceDone(pe))
                return True
        return False

    def _has_received_all(self, pe: int, instance: int) -> bool:
        """Return whether nothing waits for an instance here, and nothing will arrive for it."""
        if self._batches[pe] or self._calls.get(pe):
            return False
        planned = self._plan.pes[pe]
        if planned.is_root:
            return (pe, instance) in self._have_all_calls
        return not any(self._incomplete[source] for source in planned.upstream)

    def _drain(self) -> None:
        self._executor.drain()
        self._on_batch_end()

    @contextmanager
    def _holding_back(self, pe: int) -> Iterator[None]:
        """Hold back later batches for a PE and those upstream while one is being processed."""
        stack = self._executor.stack
        self._processing.append(pe)
        outer_floor = stack.set_aside()
        try:
            yield
        finally:
            stack.floor = outer_floor
            self._processing.pop()

    def _floor(self) -> int:
        """Return the furthest position down the graph of what is being processed; -1 if nothing."""
        busy = self._executor.pes_in_call.union(self._executor.stack.pes, self._processing)
        return max((self._position[pe] for pe in busy), default=-1)

    def _apply_backpressure(self) -> None:
        """In the middle of a batch: pause while receivers are congested."""
        floor = self._floor()
        while floor >= 0 and self._has_to_pause(floor):
            self._receive(0.0)
            self._buffers.flush(idle=True)
            if self._has_to_pause(floor) and not self._process_next():
                self._wait_for_frame()

    def _has_to_pause(self, floor: int) -> bool:
        """Return whether a receiver further down than a position is congested."""
        return (
            self._buffers.are_results_congested
            or any(self._position[pe] > floor for pe in self._buffers.congested_pes())
            or self._pauses.is_paused(self._plan.order[floor])
        )

    def _flush_all(self, receivers: Collection[int] | None = None) -> None:
        """Send everything that waits for some PEs, so that the next frame arrives after it."""
        self._buffers.flush(idle=True)
        while self._buffers.has_waiting(receivers):
            if not self._process_next():
                self._wait_for_frame()
            self._buffers.flush(idle=True)

    def _wait_for_frame(self) -> None:
        self._buffers.flush(idle=True)
        self._executor.flush_log()
        # What was due in `_process_next` had to stay, and does so until a frame arrives.
        seconds = min(self._wait_seconds, self._executor.waiting.seconds_to_due)
        if self._meter is not None:
            seconds = min(seconds, self._meter.wait(self._buffers.congested_pes()))
        self._receive(seconds)

    def _receive(self, seconds: float) -> None:
        """Handle all frames that have arrived; wait up to `seconds` for the first."""
        arrived = self._frames.receive(seconds)
        while arrived is not None:
            self._handle(*arrived)
            arrived = self._frames.receive(0.0)

    def _handle(self, sender: int, frame: Frame) -> None:
        match frame:
            case Items():
                if UnreadItem.were_made:
                    refuse = partial(self._sender.refuse_unread, frame.pe, frame.input_name)
                    frame = frame._replace(items=drop_unread(frame.items, refuse))
                self._batches[frame.pe].append((sender, frame))
            case Credit():
                self._buffers.on_credit(frame.pe, frame.instance)
            case InstanceDone():
                self._incomplete[frame.pe] -= 1
            case PauseRoots():
                self._pauses.observe(frame)
            case Calls():
                if frame.calls:
                    calls = CallRange(frame.first, frame.calls)
                    self._calls[frame.pe].append((frame.instance, calls))
                if frame.last:
                    self._have_all_calls.add((frame.pe, frame.instance))
            case Shutdown():
                self._is_shut_down = True
            case _:
                raise AssertionError(f"a rank received {frame!r}")


def _receivers_of(pe: PlannedPE) -> set[int]:
    """Return the numbers of the PEs that a PE sends to."""
    return {route.destination for routes in pe.routes.values() for route in routes}
