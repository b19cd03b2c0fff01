"""How much work other workers want, as of a worker's last look at the store.

Many workers that look all the time would keep the store from its work.  Then looks take long, and
each worker looks less often; an idle worker is seen as soon, since there are many.
"""

from __future__ import annotations

from collections.abc import Mapping
from time import monotonic

from d4py_dynamic.store.tasks import StoreStatus
from d4py_dynamic.worker.limits import WorkerLimits


class LoadMonitor:
    """Keeps what the last look at the store has shown.

    Args:
        limits: of the worker.

    Attributes:
        idle: number of workers that wait for work.
        backlog: number of tasks that wait for workers.
    """

    def __init__(self, limits: WorkerLimits = WorkerLimits()) -> None:
        self.idle = self.backlog = 0
        self._call_seconds: dict[int, float] = {}
        self._quick_seconds = limits.quick_seconds
        self._interval = self._shortest = limits.load_seconds
        self._longest = limits.load_seconds * limits.look_stretch
        self._share = limits.look_share
        self._stock_seconds, self._stock_tasks = limits.stock_seconds, limits.stock_tasks
        self._noted_at = 0.0
        self._idle_at = float("-inf")

    @property
    def is_due(self) -> bool:
        """It is time for another look."""
        return monotonic() - self._noted_at >= self._interval

    @property
    def wants_stock(self) -> bool:
        """Workers were idle a moment ago, and few tasks are queued for them since."""
        is_recent = monotonic() - self._idle_at < self._stock_seconds
        return is_recent and self.backlog < self._stock_tasks

    def is_quick(self, pe: int) -> bool:
        """Whether a call of a PE takes no longer than it would to have another worker make it."""
        return self._call_seconds.get(pe, float("inf")) < self._quick_seconds

    def note_calls(self, seconds: Mapping[int, float]) -> None:
        """Take note of how long a call of some PEs took last."""
        self._call_seconds.update(seconds)

    def note_duration(self, seconds: float) -> None:
        """Take note of how long a look took."""
        self._interval = min(max(self._shortest, seconds / self._share), self._longest)

    def note(self, status: StoreStatus, sent: int = 0) -> None:
        """Take note of a look, or of what a commit has shown that has sent some shared tasks."""
        self._noted_at = monotonic()
        self._call_seconds.update(status.call_seconds)
        self.idle, self.backlog = status.idle, status.backlog
        if status.had_idle_workers_before(sent):
            self._idle_at = self._noted_at
