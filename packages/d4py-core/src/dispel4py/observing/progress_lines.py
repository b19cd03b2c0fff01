"""`ProgressLines`: an observer that writes a line now and then of how far a run is."""

from __future__ import annotations

import threading
from collections.abc import Callable
from time import monotonic

from dispel4py.events import Event, RunEnded, RunStarted
from dispel4py.observing.limits import ProgressLimits
from dispel4py.observing.progress import RunProgress
from dispel4py.observing.text import describe_row, describe_total


class ProgressLines:
    """Writes a line after some seconds, and then ever more rarely.

    Args:
        write: writes a line, which has no line end; called by a thread.
        limits: when.
        passed: seconds that have passed already of those until the first line; what was reported in
            that time comes now.
        clock: the time in seconds.
    """

    def __init__(
        self,
        write: Callable[[str], object],
        limits: ProgressLimits = ProgressLimits(),
        passed: float = 0.0,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._write = write
        self._limits = limits
        self._passed = passed
        self._clock = clock
        self._progress = RunProgress()
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._began_at = 0.0
        self._thread: threading.Thread | None = None

    def on_event(self, event: Event) -> None:
        """See `dispel4py.events.Observer`."""
        with self._lock:
            self._progress.on_event(event)
        if isinstance(event, RunStarted):
            self._began_at = self._clock() - event.time
            self._thread = threading.Thread(target=self._run, name="d4py-progress", daemon=True)
            self._thread.start()
        elif isinstance(event, RunEnded):
            self._ended.set()
            if self._thread is not None:
                self._thread.join()
            is_long = event.seconds >= self._limits.first_seconds
            if event.outcome == "interrupted" or (event.outcome == "failed" and is_long):
                self._write(self.line())

    def line(self) -> str:
        """Return how far the run is now, in one line."""
        now = self._clock() - self._began_at
        with self._lock:
            total, rows = self._progress.total(now), self._progress.rows(now)
        parts = [describe_total(total), *(describe_row(row) for row in rows if row.state != "done")]
        return "; ".join(parts)

    def _run(self) -> None:
        seconds = self._limits.first_seconds
        passed = self._passed
        while not self._ended.wait(max(seconds - passed, self._limits.least_seconds)):
            passed = 0.0
            self._write(self.line())
            seconds = min(seconds * self._limits.growth, max(seconds, self._limits.longest_seconds))
