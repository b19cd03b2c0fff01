"""`CallFlusher`: sends what a root has written while its call goes on and writes no more.

A root that reads from a device, say, may wait for hours between two writes, and what it wrote last
would wait with it in the rank, as would what a receiver had no room for.  Only output that leaves
the process is sent: no PE is called outside of the rank's thread.
"""

from __future__ import annotations

from collections.abc import Callable

from dispel4py.engine.calls.call_watch import CallWatch
from dispel4py.engine.execution.entered_executor import EnteredExecutor


class CallFlusher(CallWatch):
    """See `CallWatch`.

    Args:
        executor: makes the calls.
        send: sends what waits in the rank, inside the engine.
        seconds: what a call has written is sent after once or twice this time.
    """

    def __init__(self, executor: EnteredExecutor, send: Callable[[], None], seconds: float) -> None:
        super().__init__("d4py-call-flusher", seconds)
        self._executor = executor
        self._send = send

    def look(self) -> bool:
        """Send what waits, if the rank's thread is in a call."""
        with self._executor.entered_call() as is_inside:
            if not is_inside:
                return True
            try:
                if self._executor.has_waited(self._seconds):
                    self._executor.send_output()
                self._send()
            except BaseException as error:
                self._executor.fail(error)
                return False
        return True
