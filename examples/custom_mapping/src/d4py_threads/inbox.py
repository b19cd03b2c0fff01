"""A queue between threads that can be stopped from outside."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from threading import Condition
from typing import Any

#: Messages that wait before whoever puts another one has to wait too.
LIMIT = 8


class StoppedError(Exception):
    """The run is over for a reason that somebody else reports."""


class Inbox:
    """What waits for one thread."""

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
        """Wait until something is true; whoever makes it true says so by `wake`."""
        with self._changed:
            self._changed.wait_for(lambda: self._stopped or condition())
            self._check()

    def wake(self) -> None:
        """Have whoever waits here look again."""
        with self._changed:
            self._changed.notify_all()

    def check(self) -> None:
        """Raise `StoppedError` once `stop` was called."""
        with self._changed:
            self._check()

    def stop(self) -> None:
        """Whoever waits here now or later gets a `StoppedError`."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def _check(self) -> None:
        if self._stopped:
            raise StoppedError
