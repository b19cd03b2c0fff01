"""`LogLines`: what PEs log, on its way to where it is shown.

Any thread of a PE may log, and what carries the lines may be used by one thread at a time alone.
So each line is queued, and the engine sends what is queued.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from dispel4py.core import show_log

#: Gets what a PE logs: id of the PE, rank, message.
Log = Callable[[str, int, str], None]


class LogLines:
    """Lines that wait to be sent.

    Args:
        send: sends one.
    """

    def __init__(self, send: Log) -> None:
        self._send = send
        self._waiting: deque[tuple[str, int, str]] = deque()
        self._is_over = False

    def __bool__(self) -> bool:
        """Return whether any line waits."""
        return bool(self._waiting)

    def put(self, pe_id: str, rank: int, message: str) -> None:
        """Add a line, from any thread."""
        self._waiting.append((pe_id, rank, message))
        if self._is_over:
            self.flush()

    def flush(self) -> None:
        """Send all lines that wait, as part of the engine."""
        while self._waiting:
            try:
                line = self._waiting.popleft()
            except IndexError:  # after the end, another thread may be quicker
                return
            self._send(*line)

    def end(self) -> None:
        """Show what waits, and all that comes from now on, in this process: the run is over."""
        self._send = show_log
        self._is_over = True
        self.flush()
