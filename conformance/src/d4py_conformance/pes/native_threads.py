"""A library with a native thread, as many that compute have, and a PE that uses it.

Python does not know such a thread.  In a process that is forked while it lives, the library still
believes in it; there, a real one would wait for its answers for ever.
"""

from __future__ import annotations

import ctypes
import os
from typing import Any

from dispel4py import IterativePE


class Library:
    """The library.

    Attributes:
        runs_in: the process that its thread was started in.
    """

    def __init__(self) -> None:
        self.runs_in: int | None = None
        self._never = ctypes.create_string_buffer(64)

    def load(self) -> None:
        """Start the thread, unless it is thought to run."""
        if self.runs_in is None:
            c = ctypes.CDLL(None)
            c.sem_init(self._never, 0, 0)
            begin = ctypes.cast(c.sem_wait, ctypes.c_void_p)
            thread = ctypes.c_ulong()
            assert c.pthread_create(ctypes.byref(thread), None, begin, self._never) == 0
            self.runs_in = os.getpid()

    def compute(self, number: int) -> int:
        """Return the square of a number.

        Raises:
            RuntimeError: the thread is in another process.
        """
        if self.runs_in != os.getpid():
            raise RuntimeError(
                f"the library waits for its thread, which a fork has left in {self.runs_in}"
            )
        return number * number


LIBRARY = Library()


class Computes(IterativePE):
    """Sends squares; the library is loaded wherever the PE is unpickled."""

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        LIBRARY.load()

    def _process(self, data: int) -> int:
        return LIBRARY.compute(data)
