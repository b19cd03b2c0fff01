"""`CallWatch`: a thread that takes a look now and then while a PE is called.

It enters the engine while the thread that calls the PE is in the PE's code; see
`dispel4py.engine.calls.call_monitor`.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager


class CallWatch(ABC):
    """Looks in the blocks of its ``with`` statements, every so many seconds.

    Args:
        name: name of the thread.
        seconds: time between two looks.
    """

    def __init__(self, name: str, seconds: float) -> None:
        self._seconds = seconds
        self._in_call = threading.Event()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Run the thread in the block."""
        self._thread.start()
        try:
            yield
        finally:
            self._stopped.set()
            self._in_call.set()
            self._thread.join()

    def __enter__(self) -> None:
        self._in_call.set()

    def __exit__(self, *error: object) -> None:
        self._in_call.clear()  # without calls the thread rests

    @abstractmethod
    def look(self) -> bool:
        """Do what is due, in the thread; return False to end it, after an error."""

    def _run(self) -> None:
        while self._in_call.wait() and not self._stopped.wait(self._seconds):
            if not self.look():
                return
