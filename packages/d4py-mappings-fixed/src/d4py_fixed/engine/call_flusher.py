"""`CallFlusher`: sends what a root has written while its call goes on and writes no more.

A root that reads from a device, say, may wait for hours between two writes, and what it wrote last
would wait with it in the rank, as would what a receiver had no room for.  Only output that leaves
the process is sent: no PE is called outside of the rank's thread.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from dispel4py.engine.entered_executor import EnteredExecutor


class CallFlusher:
    """A thread that looks now and then after a call.

    Args:
        executor: makes the call.
        send: sends what waits in the rank, inside the engine.
        seconds: what a call has written is sent after once or twice this time.
    """

    def __init__(self, executor: EnteredExecutor, send: Callable[[], None], seconds: float) -> None:
        self._executor = executor
        self._send = send
        self._seconds = seconds
        self._in_call = threading.Event()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="d4py-call-flusher", daemon=True)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Look after calls in the block."""
        self._thread.start()
        try:
            yield
        finally:
            self._stopped.set()
            self._in_call.set()
            self._thread.join()

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Look after the call in the block."""
        self._in_call.set()
        try:
            yield
        finally:
            self._in_call.clear()

    def _watch(self) -> None:
        executor = self._executor
        while self._in_call.wait() and not self._stopped.wait(self._seconds):
            with executor.entered_call() as is_inside:
                if not is_inside:
                    continue
                try:
                    if executor.has_waited(self._seconds):
                        executor.send_output()
                    self._send()
                except BaseException as error:
                    executor.fail(error)
                    return
