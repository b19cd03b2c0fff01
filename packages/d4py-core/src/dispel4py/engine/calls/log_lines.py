"""`LogLines`: queue of the lines that PEs log.

Any thread of a PE may log, but the transport of the lines may be used by one thread at a time only.
So each line is queued, and the engine sends the queued lines.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from dispel4py.core import show_log

#: Takes a line that a PE logs: id of the PE, rank, message.
Log = Callable[[str, int, str], None]


class LogLines(deque[tuple[str, int, str]]):
    """Lines that wait to be sent; false if there is none.

    Args:
        send: sends a line.
    """

    def __init__(self, send: Log) -> None:
        super().__init__()
        self._send = send
        self._is_over = False

    def put(self, pe_id: str, rank: int, message: str) -> None:
        """Add a line; any thread may call this."""
        self.append((pe_id, rank, message))
        if self._is_over:
            self.flush()

    def flush(self) -> None:
        """Send all waiting lines; only the engine may call this."""
        while self:
            try:
                line = self.popleft()
            except IndexError:  # after the end, other threads flush too
                return
            self._send(*line)

    def end(self) -> None:
        """Show waiting and later lines in this process, since the run is over."""
        self._send = show_log
        self._is_over = True
        self.flush()
