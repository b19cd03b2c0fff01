"""A queue between threads that can be stopped from outside."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from threading import Condition
from typing import Any

#: Messages that wait; with so many, a thread that puts another one waits, too.
LIMIT = 8


class StoppedError(Exception):
    """The run has ended for a reason that is reported elsewhere."""


class Inbox:
    """Holds the messages that wait for one thread."""

    def __init__(self) -> None:
        self._messages: deque[Any] = deque()
        self._changed = Condition()
        self._stopped = False

    def put(self, message: Any) -> None:
        """Add a message; waits while there are too many."""
        with self._changed:
            self._changed.wait_for(lambda: self._stopped or len(self._messages) < LIMIT)
            self._check()
            self._messages.append(message)
            self._changed.notify_all()

    def get(self, seconds: float | None = None) -> Any:
        """Take the oldest message; waits while there is none.

        Args:
            seconds: how long to wait; None waits as long as it takes.

        Raises:
            TimeoutError: there was none in that time.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: self._stopped or self._messages, seconds):
                raise TimeoutError
            self._check()
            self._changed.notify_all()
            return self._messages.popleft()

    def wait_for(self, condition: Callable[[], bool]) -> None:
        """Wait until a condition is true, which is looked at after each `wake`."""
        with self._changed:
            self._changed.wait_for(lambda: self._stopped or condition())
            self._check()

    def wake(self) -> None:
        """Have waiting threads look at their conditions again."""
        with self._changed:
            self._changed.notify_all()

    def check(self) -> None:
        """Raise `StoppedError` once `stop` was called."""
        with self._changed:
            self._check()

    def stop(self) -> None:
        """Raise `StoppedError` in all threads that wait here now or later."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def _check(self) -> None:
        if self._stopped:
            raise StoppedError
