"""`TakenEvents`: waits for the end of a run's events, which come by a thread of their own.

A run does not wait for its observers for longer than a moment.  On a busy machine the last events,
which say that all is done, may come later than that.
"""

from __future__ import annotations

import threading

from dispel4py.events import Event, RunEnded


class TakenEvents:
    """The events that an observer has taken so far."""

    def __init__(self) -> None:
        self._count = 0
        self._is_over = threading.Event()

    def add(self, event: Event) -> None:
        """Take note of an event that was taken."""
        self._count += 1
        if isinstance(event, RunEnded):
            self._is_over.set()

    def end(self) -> None:
        """Take note that there will be no more."""
        self._is_over.set()

    def wait(self, seconds: float) -> bool:
        """Wait for the last event; return whether it came within so many seconds."""
        return self._is_over.wait(seconds)

    def wait_for_all(self, seconds: float) -> None:
        """Wait for the last event, as long as one comes within so many seconds."""
        before = -1
        while before != self._count:
            before = self._count
            if self._is_over.wait(seconds):
                return
