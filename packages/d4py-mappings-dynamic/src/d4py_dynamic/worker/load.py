"""How much work the other workers want, as a worker knows it from its last look at the store."""

from __future__ import annotations

from time import monotonic

from d4py_dynamic.store.tasks import StoreStatus

#: How often a worker in the middle of a lease looks whether others are idle, in seconds.
LOOK_UP_SECONDS = 0.02
#: For so many seconds after others were idle, and as long as fewer tasks wait for them, they get
#: all that follows from a pinned instance.
_STOCK_SECONDS, _STOCK = 0.05, 32


class LoadMonitor:
    """What the last look has shown.

    Attributes:
        idle: workers that wait for work.
        backlog: tasks that wait for workers.
    """

    def __init__(self) -> None:
        self.idle = self.backlog = 0
        self._noted_at = 0.0
        self._idle_at = float("-inf")

    @property
    def is_to_be_looked_at(self) -> bool:
        """It is time for another look."""
        return monotonic() - self._noted_at >= LOOK_UP_SECONDS

    @property
    def is_for_stock(self) -> bool:
        """Others were idle a moment ago and have little in stock since."""
        return monotonic() - self._idle_at < _STOCK_SECONDS and self.backlog < _STOCK

    def note(self, status: StoreStatus) -> None:
        """Take note of a look."""
        self._noted_at = monotonic()
        self.idle, self.backlog = status.idle, status.backlog
        if self.idle > 0:
            self._idle_at = self._noted_at
