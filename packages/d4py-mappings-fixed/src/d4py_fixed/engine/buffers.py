"""The buffers of a rank: batches that fill, each for one receiver."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from d4py_fixed.engine.batch_sizer import BatchSizer
from d4py_fixed.engine.limits import RankLimits
from dispel4py.engine.failures import failure_bytes
from dispel4py.engine.items.sizes import estimate_bytes
from dispel4py.result import Failure


class Receiver:
    """An instance that batches are sent to, by any of its inputs.

    Attributes:
        in_flight: Batches that were sent and have brought no credit yet.
        sizer: Sizes batches of shared inputs; None if no input is shared.
    """

    __slots__ = ("in_flight", "sizer")

    def __init__(self) -> None:
        self.in_flight = 0
        self.sizer: BatchSizer | None = None

    def on_credit(self) -> None:
        self.in_flight -= 1
        if self.sizer is not None:
            self.sizer.on_credit()


class Batch:
    """A batch that fills.

    Attributes:
        fill: How full it is; 1 is full.
        sent_at: When the last batch to the same receiver was sent.
    """

    __slots__ = ("_batch_bytes", "_batch_items", "_linger", "fill", "sent_at")

    def __init__(self, limits: RankLimits) -> None:
        self._batch_items, self._batch_bytes = limits.batch_items, limits.batch_bytes
        self._linger = limits.linger_seconds
        self.fill = 0.0
        self.sent_at = 0.0

    def _add_fill(self, count: int, size: float) -> None:
        self.fill += max(count / self._batch_items, size / self._batch_bytes)

    def _is_due(self, now: float, idle: bool) -> bool:
        """Return whether the batch should be sent although others are in flight."""
        return idle or self.fill >= 1 or now - self.sent_at >= self._linger


class ItemBuffer(Batch):
    """Items that wait to be sent to one input of one instance.

    Attributes:
        items: The items.
        item_bytes: Size of an item of the last batch, as sent.
        shared: The input, if any instance of the PE may process the items; else None.
    """

    __slots__ = (
        "_window",
        "input_name",
        "instance",
        "item_bytes",
        "items",
        "pe",
        "receiver",
        "shared",
    )

    def __init__(
        self, pe: int, instance: int, input_name: str, receiver: Receiver, limits: RankLimits
    ) -> None:
        super().__init__(limits)
        self.pe, self.instance, self.input_name = pe, instance, input_name
        self.receiver = receiver
        self.shared: SharedInput | None = None
        self.items: list[Any] = []
        self.item_bytes = 0.0
        self._window = limits.window

    def add(self, items: list[Any], size: float | None) -> None:
        self.items.extend(items)
        if size is None:
            size = estimate_bytes(items)
        # Of items that were written together, all large ones may have the same receiver.
        self._add_fill(len(items), max(size, self.item_bytes * len(items)))

    def take(self, first: int, last: int) -> list[Any]:
        """Remove some items and return them."""
        items = self.items
        if last - first == len(items):
            self.items, self.fill = [], 0.0
            return items
        self.fill *= 1 - (last - first) / len(items)
        taken = items[first:last]
        del items[first:last]
        return taken

    def may_send(self, now: float, idle: bool) -> bool:
        in_flight = self.receiver.in_flight
        return in_flight == 0 or (in_flight < self._window and self._is_due(now, idle))


class ResultBuffer(Batch):
    """Results and failures that wait to be sent to the driver.

    Attributes:
        in_flight: Batches that were sent and have brought no credit yet.
    """

    __slots__ = ("_failures", "_results", "_window", "in_flight")

    def __init__(self, limits: RankLimits) -> None:
        super().__init__(limits)
        self._results: dict[tuple[str, str], list[Any]] = {}
        self._failures: list[Failure] = []
        self._window = limits.results_window
        self.in_flight = 0

    @property
    def is_empty(self) -> bool:
        return not (self._results or self._failures)

    def add(self, pe_id: str, output: str, items: list[Any], size: float | None) -> None:
        self._results.setdefault((pe_id, output), []).extend(items)
        self._add_fill(len(items), estimate_bytes(items) if size is None else size)

    def add_failure(self, failure: Failure) -> None:
        self._failures.append(failure)
        self._add_fill(1, failure_bytes(failure))

    def may_send(self, now: float, idle: bool) -> bool:
        if self.is_empty:
            return False
        in_flight = self.in_flight
        return in_flight == 0 or (in_flight < self._window and self._is_due(now, idle))

    def take(self, now: float) -> tuple[list[tuple[str, str, list[Any]]], list[Failure]]:
        """Remove everything and return it, as in flight."""
        results = [(pe_id, output, items) for (pe_id, output), items in self._results.items()]
        failures, self._failures = self._failures, []
        self._results, self.fill = {}, 0.0
        self.sent_at = now
        self.in_flight += 1
        return results, failures


class SharedInput:
    """An input of which any instance of the PE may process any item.

    Attributes:
        buffers: The buffers of its instances.
        waiting: Items in all of them.
    """

    def __init__(
        self,
        buffers: list[ItemBuffer],
        limits: RankLimits,
        clock: Callable[[], float],
        least_items: int = 1,
    ) -> None:
        self.buffers = buffers
        self.waiting = 0
        for buffer in buffers:
            buffer.shared = self
            buffer.receiver.sizer = buffer.receiver.sizer or BatchSizer(limits, clock, least_items)
