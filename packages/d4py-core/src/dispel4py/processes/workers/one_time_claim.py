"""A permission that one of several processes can take."""

from __future__ import annotations

import os
from multiprocessing import Pipe


class OneTimeClaim:
    """A permission shared by processes, which the first of them to claim it gets.

    A claim can be an argument of a process that multiprocessing starts.  It is a byte in a pipe, so
    it stays consistent whenever a process is killed.
    """

    def __init__(self) -> None:
        self._reader, writer = Pipe(duplex=False)
        os.set_blocking(self._reader.fileno(), False)
        os.write(writer.fileno(), b".")
        writer.close()

    def take(self) -> bool:
        """Return whether this is the first call in any of the processes."""
        try:
            return bool(os.read(self._reader.fileno(), 1))
        except OSError:  # closed
            return False

    def close(self) -> None:
        """Release the claim's file in this process."""
        self._reader.close()
