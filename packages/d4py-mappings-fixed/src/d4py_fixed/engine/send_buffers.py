"""What a rank has written and not sent yet: batches by receiver, which fill while it is busy.

A receiver with nothing in flight is sent its batch at once, however small.  One that is busy is
sent full batches, or what has been waiting for some milliseconds, within a window.

Items that any instance of a PE may process are dealt out in turn, but a batch is no larger than the
receiver can process in about `RankLimits.shared_batch_seconds`, and smaller when few items are
left; an idle instance gets half of what waits for a busy one.  So no instance is idle for long
while others have a backlog.  (Polychronopoulos, Kuck: *Guided self-scheduling*, IEEE Transactions
on Computers, 1987.)
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from time import monotonic
from typing import Any, Protocol

from d4py_fixed.engine.buffers import ItemBuffer, Receiver, ResultBuffer, SharedInput
from d4py_fixed.engine.frames import RESULTS
from d4py_fixed.engine.limits import RankLimits
from dispel4py.result import Failure


class BatchSender(Protocol):
    """Sends batches; see `d4py_fixed.engine.frame_sender.FrameSender`."""

    def send_items(self, pe: int, instance: int, input_name: str, items: list[Any]) -> int:
        """Send a batch to an input of an instance; return its size in bytes."""

    def send_results(
        self, results: list[tuple[str, str, list[Any]]], failures: list[Failure]
    ) -> None:
        """Send results and failures to the driver."""


class SendBuffers:
    """The send buffers of one rank.

    Args:
        sender: sends the batches.
        shared: (PE number, input) → the instances of which any may process any item.
        limits: sizes of batches and windows.
        clock: the time in seconds.
        batch_sizes: number of a PE that takes several items in one call → how many at most.
    """

    def __init__(
        self,
        sender: BatchSender,
        shared: Mapping[tuple[int, str], Sequence[int]] | None = None,
        limits: RankLimits = RankLimits(),
        clock: Callable[[], float] = monotonic,
        batch_sizes: Mapping[int, int] | None = None,
    ) -> None:
        self._sender = sender
        self._limits = limits
        self._clock = clock
        self._receivers: dict[tuple[int, int], Receiver] = {}
        self._buffers: dict[tuple[int, int, str], ItemBuffer] = {}
        #: Buffers that are not empty, in the order in which they began to fill.
        self._filling: dict[ItemBuffer, None] = {}
        self._results = ResultBuffer(limits)
        self._shared = {
            (pe, name): SharedInput(
                [self._buffer(pe, instance, name) for instance in instances],
                limits,
                clock,
                (batch_sizes or {}).get(pe, 1),
            )
            for (pe, name), instances in (shared or {}).items()
        }

    def add_items(
        self, pe: int, instance: int, input_name: str, items: list[Any], size: float | None = None
    ) -> None:
        """Add items to the batch for an input of an instance.

        Args:
            pe: number of the receiving PE.
            instance: which of its instances.
            input_name: its input.
            items: the items.
            size: their size in bytes, if it is known.
        """
        buffer = self._buffers.get((pe, instance, input_name))
        if buffer is None:
            buffer = self._buffer(pe, instance, input_name)
        buffer.add(items, size)
        self._filling[buffer] = None

    def add_results(
        self, pe_id: str, output: str, items: list[Any], size: float | None = None
    ) -> None:
        """Add results; `size` as for items."""
        self._results.add(pe_id, output, items, size)

    def add_failure(self, failure: Failure) -> None:
        """Add a failure, which is sent together with the results."""
        self._results.add_failure(failure)

    def has_waiting(self, pes: Container[int] | None = None) -> bool:
        """Return whether anything waits to be sent, to some PEs or to any receiver."""
        if pes is None:
            return bool(self._filling) or not self._results.is_empty
        return any(buffer.pe in pes for buffer in self._filling)

    def congested_pes(self) -> set[int]:
        """Return the PEs with an instance so far behind that its senders should pause."""
        return {buffer.pe for buffer in self._filling if buffer.fill >= 2}

    @property
    def are_results_congested(self) -> bool:
        """The driver is so far behind that its senders should pause."""
        return self._results.fill >= 2

    def on_credit(self, pe: int, instance: int) -> None:
        """Handle the credit for one batch; `pe` is `RESULTS` if the driver sent it."""
        if pe == RESULTS:
            self._results.in_flight -= 1
        else:
            self._receivers[pe, instance].on_credit()

    def flush(self, *, idle: bool = False) -> None:
        """Send what may be sent now.

        Args:
            idle: this rank has no work that would fill batches further.
        """
        if not self.has_waiting():
            return
        now = self._clock()
        for shared in self._shared.values():
            self._rebalance(shared)
        for buffer in list(self._filling):
            if buffer.shared is not None:
                self._send_shared(buffer, buffer.shared, now, idle)
            elif buffer.may_send(now, idle):
                self._send(buffer, now, len(buffer.items))
        if self._results.may_send(now, idle):
            self._sender.send_results(*self._results.take(now))

    def _buffer(self, pe: int, instance: int, input_name: str) -> ItemBuffer:
        receiver = self._receivers.setdefault((pe, instance), Receiver())
        buffer = ItemBuffer(pe, instance, input_name, receiver, self._limits)
        self._buffers[pe, instance, input_name] = buffer
        return buffer

    def _send(self, buffer: ItemBuffer, now: float, count: int) -> None:
        """Send the first items of a buffer."""
        items = self._take(buffer, 0, count)
        buffer.receiver.in_flight += 1
        buffer.sent_at = now
        size = self._sender.send_items(buffer.pe, buffer.instance, buffer.input_name, items)
        buffer.item_bytes = size / count

    def _take(self, buffer: ItemBuffer, first: int, last: int) -> list[Any]:
        """Take items out of a buffer; if some are left, it is the last to be served again."""
        del self._filling[buffer]
        taken = buffer.take(first, last)
        if buffer.items:
            self._filling[buffer] = None
        return taken

    def _send_shared(self, buffer: ItemBuffer, shared: SharedInput, now: float, idle: bool) -> None:
        """Send to one instance its share of what several may process."""
        limits, receiver = self._limits, buffer.receiver
        sizer = receiver.sizer
        assert sizer is not None
        share = 2 * len(shared.buffers)
        lingered = now - buffer.sent_at >= limits.linger_seconds
        while buffer.items:
            is_due = idle or lingered or buffer.fill >= 1 or len(buffer.items) >= sizer.most_items
            if receiver.in_flight and (receiver.in_flight >= limits.window or not is_due):
                break
            most = min(sizer.most_items, -(-shared.waiting // share))
            count = min(most, len(buffer.items))
            sizer.on_sent(count)
            self._send(buffer, now, count)
            shared.waiting -= count

    def _rebalance(self, shared: SharedInput) -> None:
        """Move half of what waits for a busy instance to each idle one; count what waits in all.

        The later half is moved, so items of an edge stay in order on the way to either instance.
        """
        filling = [buffer for buffer in shared.buffers if buffer.items]
        shared.waiting = sum(len(buffer.items) for buffer in filling)
        if not 0 < len(filling) < len(shared.buffers):
            return
        for idle in shared.buffers:
            if idle.receiver.in_flight or idle.items:
                continue
            donor = max(filling, key=lambda buffer: len(buffer.items), default=None)
            if donor is None or not donor.receiver.in_flight:
                return  # what waits is about to be sent
            self._move_half(donor, idle)
            if not donor.items:
                filling.remove(donor)

    def _move_half(self, donor: ItemBuffer, idle: ItemBuffer) -> None:
        """Move the later half of the items of a buffer to another one."""
        items = self._take(donor, len(donor.items) // 2, len(donor.items))
        self.add_items(idle.pe, idle.instance, idle.input_name, items)
        assert idle.receiver.sizer is not None
        assert donor.receiver.sizer is not None
        idle.receiver.sizer.lower_to(donor.receiver.sizer)
