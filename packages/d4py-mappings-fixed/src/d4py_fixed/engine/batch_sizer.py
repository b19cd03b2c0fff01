"""Sizes the batches of instances that share their items, by how fast each processes its own."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from d4py_fixed.engine.limits import RankLimits


class BatchSizer:
    """Sizes the batches for one instance by the time that it takes for an item.

    Args:
        limits: the time that a batch should take, and its most items.
        clock: the time in seconds.
        least_items: a smaller batch is no use, since the PE takes as many items in one call.

    Attributes:
        most_items: Items that a batch may have.
    """

    def __init__(
        self, limits: RankLimits, clock: Callable[[], float], least_items: int = 1
    ) -> None:
        self.most_items = self._least = min(least_items, limits.batch_items)
        self._clock = clock
        self._seconds, self._batch_items = limits.shared_batch_seconds, limits.batch_items
        self._in_flight: deque[tuple[float, int]] = deque()
        self._credit_at = 0.0

    def on_sent(self, count: int) -> None:
        self._in_flight.append((self._clock(), count))

    def lower_to(self, other: BatchSizer) -> None:
        """Start with batches no larger than another instance's, whose items are sent to this one.

        They may be the reason why that one is slow.
        """
        self.most_items = min(self.most_items, other.most_items)

    def on_credit(self) -> None:
        if not self._in_flight:  # the batch came by an input that is not shared
            return
        now = self._clock()
        sent_at, count = self._in_flight.popleft()
        seconds = now - max(sent_at, self._credit_at)
        self._credit_at = now
        within = int(count * self._seconds / max(seconds, 1e-6))
        self.most_items = max(self._least, min(self._batch_items, within))
