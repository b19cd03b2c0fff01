"""The worker loop of all fixed mappings: one rank runs the instances that were placed on it.

An instance is complete, and postprocessed, when every instance upstream has said that it is done.
Batches fill while their receiver is busy and leave at once when it is idle: a receiver answers each
batch with a credit when it has used it up, and a sender keeps few batches unanswered.

Nobody waits for ever.  Between batches a rank works on whatever is not upstream of a receiver that
is behind.  In the middle of a batch it waits only for receivers further down the graph than what
it has in hand, and goes on meanwhile with what is further down than that.  So of all receivers that
are behind, the one furthest down is always being worked on: its rank has nothing in hand that it
could wait for, and nothing that keeps it from the receiver.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from itertools import chain
from time import monotonic
from typing import Any

from d4py_fixed.engine.frames import (
    CODEC,
    Ahead,
    Calls,
    Credit,
    Done,
    Frame,
    Items,
    LogLine,
    ProgressReport,
    Results,
    Shutdown,
    from_parts,
    to_parts,
)
from d4py_fixed.engine.placement import Instance, Placement
from d4py_fixed.engine.send_buffers import SendBuffers
from d4py_fixed.engine.transport import Transport
from dispel4py.engine.copying import copy_item, share_item
from dispel4py.engine.executor import Executor
from dispel4py.engine.inputs import CallRange
from dispel4py.engine.plan import SHUFFLE, Ancestors
from dispel4py.engine.runner import OnError, raise_error
from dispel4py.engine.unsent_items import (
    drop_unpicklable,
    unpicklable_item_error,
    unpicklable_result_error,
    without_unpicklable,
)
from dispel4py.errors import ItemError
from dispel4py.result import Failure

_TICK_SECONDS = 0.5
_PROGRESS_SECONDS = 0.2


class Rank:
    """Runs one rank's instances.

    Args:
        placement: the plan, and which rank runs what.
        rank: number of this rank.
        transport: to the other ranks; the driver is rank number `placement.ranks`.
        on_error: ``"stop"`` or ``"skip"``.
        share_items: see `dispel4py.RunOptions`.
        report: send what was done so far to the driver now and then.
        any_thread: the transport can be used by one thread after another; see `Executor`.
    """

    def __init__(
        self,
        placement: Placement,
        rank: int,
        transport: Transport,
        on_error: str = "stop",
        share_items: bool = False,
        report: bool = False,
        any_thread: bool = True,
    ) -> None:
        self._placement = placement
        self._plan = placement.plan
        self._rank = rank
        self._driver = placement.ranks
        self._transport = transport
        self._report_at = monotonic() if report else float("inf")
        self._mine = placement.instances_on(rank)
        self._upwards = [*dict.fromkeys(pe for pe, _ in reversed(self._mine))]
        self._position = {pe: i for i, pe in enumerate(self._plan.order)}
        self._complete: set[Instance] = set()
        self._ancestors = Ancestors(self._plan)
        self._undone = {pe.index: pe.instances for pe in self._plan.pes}
        self._fed_by = {
            pe.index: {route.destination for routes in pe.routes.values() for route in routes}
            for pe in self._plan.pes
        }
        self._arrived: dict[int, deque[tuple[int, Items]]] = {pe: deque() for pe, _ in self._mine}
        self._calls: dict[int, deque[tuple[int, CallRange]]] = {
            pe: deque() for pe, _ in self._mine if self._plan.pes[pe].is_root
        }
        self._fed: set[Instance] = set()
        self._outgoing = SendBuffers(self._send_items, self._send_results, self._shared())
        self._in_hand: list[int] = []
        self._told_ahead: dict[Instance, tuple[int, ...]] = {}
        self._ahead: dict[Instance, tuple[int, ...]] = {}
        self._farewell = False
        self._on_error: OnError = raise_error if on_error == "stop" else self._skip
        self._executor = Executor(
            self._plan,
            self,
            is_local=lambda pe, instance: placement.rank_of[pe, instance] == rank,
            rank=rank,
            copier=share_item if share_items else copy_item,
            on_error=self._on_error,
            log=self._log,
            on_batch_end=self._between,
            one_by_one=False,
            has_unsent=self._outgoing.waits,
            any_thread=any_thread,
        )

    def run(self) -> None:
        """Run until all instances of all ranks are complete.

        Raises:
            ProcessingError: a PE raised, and `on_error` says to stop.
        """
        with self._executor.closing():
            for pe, instance in reversed(self._mine):  # receivers first: a preprocess may write
                self._executor.start(pe, instance)
            self._drain()
            while len(self._complete) < len(self._mine):
                self._take_in(0.0)
                if not (self._work() or self._finish_one()):
                    self._wait()
        self._send_all()
        self._executor.flush_log()
        self._send(self._driver, ProgressReport(self._executor.stats, ended=True))
        while not self._farewell:
            self._take_in(_TICK_SECONDS)
        self._executor.end_log()

    # What the executor calls: `OutputHandler` and its hooks.

    def send(self, pe: int, instance: int, input_name: str, items: list[Any]) -> None:
        """See `dispel4py.engine.executor.OutputHandler`."""
        size = len(items) * self._executor.item_bytes
        self._outgoing.add_items(pe, instance, input_name, items, size)

    def result(self, pe_id: str, output: str, items: list[Any]) -> None:
        """See `dispel4py.engine.executor.OutputHandler`."""
        self._outgoing.add_results(pe_id, output, items, len(items) * self._executor.item_bytes)

    def _skip(self, error: Any, item: Any) -> None:
        self._outgoing.add_failure(Failure(error, item))

    def _log(self, pe_id: str, rank: int, message: str) -> None:
        self._send(self._driver, LogLine(pe_id, rank, message))

    def _between(self) -> bool:
        self._outgoing.flush()
        self._executor.flush_log()
        self._tell_ahead()
        if self._outgoing.waits() or self._ahead:
            self._take_in(0.0)
            self._outgoing.flush()
            self._make_room()
        if monotonic() >= self._report_at:
            self._report_at = monotonic() + _PROGRESS_SECONDS
            self._send(self._driver, ProgressReport(self._executor.stats, ended=False))
        return False

    # The loop's steps.

    def _work(self) -> bool:
        """Process one batch that has arrived, or call a root; False if there is nothing to do."""
        if self._outgoing.results_overfull:
            return False
        paused = {pe for receiver in self._outgoing.overfull() for pe in self._ancestors[receiver]}
        floor = self._floor()
        for pe in self._upwards:
            if self._position[pe] <= floor:
                return False
            if pe in paused:
                continue
            if self._arrived[pe]:
                sender, batch = self._arrived[pe].popleft()
                credit = Credit(pe, batch.instance)
                with self._taking(pe):
                    self._executor.push(*batch)
                    del batch  # the executor owns its items now; see `engine.unique_arrays`
                    self._drain()
                self._send(sender, credit)
                return True
            if self._calls.get(pe) and floor < 0 and not self._is_ahead(pe):
                instance, waiting = self._calls[pe].popleft()
                with self._taking(pe):
                    if left := self._executor.call_range(pe, instance, waiting):
                        self._calls[pe].appendleft((instance, left))
                    else:
                        self._send(self._driver, Credit(pe, instance))
                self._between()
                return True
        return False

    def _finish_one(self) -> bool:
        """Postprocess an instance that nothing more can come to; False if there is none."""
        for pe, instance in self._mine:
            planned = self._plan.pes[pe]
            if (pe, instance) in self._complete or self._arrived[pe] or self._calls.get(pe):
                continue
            fed = (
                (pe, instance) in self._fed
                if planned.is_root
                else not any(self._undone[source] for source in planned.upstream)
            )
            if fed:
                with self._taking(pe):
                    self._executor.finish(pe, instance)
                    self._drain()
                self._send_all(self._fed_by[pe])
                self._complete.add((pe, instance))
                self._undone[pe] -= 1
                for rank in self._ranks_below(pe):
                    self._send(rank, Done(pe))
                return True
        return False

    def _drain(self) -> None:
        self._executor.drain()
        self._between()

    @contextmanager
    def _taking(self, pe: int) -> Iterator[None]:
        """A batch of this PE is in hand: no later one may overtake it."""
        self._in_hand.append(pe)
        try:
            with self._executor.fresh_stack():
                yield
        finally:
            self._in_hand.pop()

    def _floor(self) -> int:
        """How far down the graph that is which is in hand or waits here; -1 if nothing does."""
        held = self._executor.pes_in_call.union(self._executor.pes_waiting, self._in_hand)
        return max((self._position[pe] for pe in held), default=-1)

    def _tell_ahead(self) -> None:
        """Tell roots that they are too far ahead of an instance here, or are so no more."""
        now = self._executor.roots_to_pause
        if now == self._told_ahead:
            return
        before, self._told_ahead = self._told_ahead, now
        for at in before | now:
            roots = now.get(at, ())
            if before.get(at, ()) != roots:
                ancestors = self._ancestors[at[0]]
                feeding = {root.index for root in self._plan.roots} & ancestors
                for rank in {self._placement.rank_of[root, 0] for root in feeding}:
                    if rank != self._rank:
                        self._send(rank, Ahead(*at, roots))
                self._note_ahead(Ahead(*at, roots))

    def _note_ahead(self, ahead: Ahead) -> None:
        self._ahead[ahead.pe, ahead.instance] = ahead.roots
        if not ahead.roots:
            del self._ahead[ahead.pe, ahead.instance]

    def _is_ahead(self, pe: int) -> bool:
        """Return whether a root is too far ahead of an ordered input.

        Nothing but roots waits for that: the item that is missing comes from this very root, so all
        that it may be behind is further down the graph, and goes on.
        """
        return any(pe in roots for roots in self._ahead.values())

    def _make_room(self) -> None:
        """In the middle of a batch: pause while receivers are behind."""
        floor = self._floor()
        while floor >= 0 and self._is_waited_for(floor):
            self._take_in(0.0)
            self._outgoing.flush(idle=True)
            if self._is_waited_for(floor) and not self._work():
                self._wait()

    def _is_waited_for(self, floor: int) -> bool:
        """A receiver further down than that is behind."""
        return (
            self._outgoing.results_overfull
            or any(self._position[pe] > floor for pe in self._outgoing.overfull())
            or self._is_ahead(self._plan.order[floor])
        )

    def _send_all(self, receivers: Collection[int] | None = None) -> None:
        """Send everything that waits for some PEs, so that what is sent next comes after it."""
        self._outgoing.flush(idle=True)
        while self._outgoing.waits(receivers):
            if not self._work():
                self._wait()
            self._outgoing.flush(idle=True)

    def _wait(self) -> None:
        self._outgoing.flush(idle=True)
        self._executor.flush_log()
        self._take_in(_TICK_SECONDS)

    def _take_in(self, seconds: float) -> None:
        """Take in all frames that are there; wait for one for up to `seconds`."""
        arrived = self._transport.receive(seconds)
        while arrived is not None:
            sender, parts = arrived
            try:
                frame = from_parts(parts)
            except ItemError as error:
                by = self._placement.describe(sender) or "the driver"
                raise ItemError(f"{error}; {by} sent it") from error
            self._deal_with(sender, frame)
            arrived = self._transport.receive(0.0)

    def _deal_with(self, sender: int, frame: Frame) -> None:
        match frame:
            case Items():
                self._arrived[frame.pe].append((sender, frame))
            case Credit():
                self._outgoing.answered(frame.pe, frame.instance)
            case Done():
                self._undone[frame.pe] -= 1
            case Ahead():
                self._note_ahead(frame)
            case Calls():
                if frame.calls:
                    made = CallRange(frame.first, frame.calls)
                    self._calls[frame.pe].append((frame.instance, made))
                if frame.last:
                    self._fed.add((frame.pe, frame.instance))
            case Shutdown():
                self._farewell = True
            case _:
                raise AssertionError(f"a rank got {frame!r}")

    def _send(self, rank: int, frame: Frame) -> int:
        """Send a frame; how many bytes it has."""
        parts = to_parts(frame)
        self._transport.send(rank, parts)
        return sum(map(len, parts))

    def _send_items(self, pe: int, instance: int, input_name: str, items: list[Any]) -> int:
        rank = self._placement.rank_of[pe, instance]
        try:
            return self._send(rank, Items(pe, instance, input_name, items))
        except ItemError:
            writers = dict.fromkeys(number for number, _ in self._mine)

            def refuse(error: ItemError) -> None:
                self._on_error(
                    unpicklable_item_error(self._plan, pe, input_name, writers, error), None
                )

            items = drop_unpicklable(items, CODEC.dumps, refuse)
            return self._send(rank, Items(pe, instance, input_name, items))

    def _send_results(
        self, results: list[tuple[str, str, list[Any]]], failures: list[Failure]
    ) -> None:
        try:
            self._send(self._driver, Results(results, failures))
        except ItemError:
            kept = []
            for pe_id, output, items in results:

                def refuse(error: ItemError, pe_id: str = pe_id, output: str = output) -> None:
                    self._on_error(unpicklable_result_error(self._plan, pe_id, output, error), None)

                kept.append((pe_id, output, drop_unpicklable(items, CODEC.dumps, refuse)))
            self._send(self._driver, Results(kept, without_unpicklable(failures, CODEC.dumps)))

    def _shared(self) -> dict[tuple[int, str], list[int]]:
        """(PE number, input) → the instances elsewhere, where any may have any item.

        Not where they keep something, so that what each keeps is the same in every run.
        """
        found: dict[tuple[int, str], list[int]] = {}
        for pe in self._upwards:
            for route in chain.from_iterable(self._plan.pes[pe].routes.values()):
                number, fed = route.destination, self._plan.pes[route.destination]
                if route.grouping.kind == SHUFFLE and not (fed.stateful or fed.has_postprocess):
                    found[number, route.input] = [
                        instance
                        for instance in range(fed.instances)
                        if self._placement.rank_of[number, instance] != self._rank
                    ]
        return {place: instances for place, instances in found.items() if len(instances) > 1}

    def _ranks_below(self, pe: int) -> list[int]:
        """The other ranks with instances that a PE feeds."""
        fed = self._fed_by[pe]
        ranks = {rank for (number, _), rank in self._placement.rank_of.items() if number in fed}
        return sorted(ranks - {self._rank})
