"""Standard output and error of MPI ranks, on their way to those of the driver.

A rank on the driver's machine is given the driver's own streams (`lend`, `borrow`), so that what it
prints passes no launcher.  What ranks elsewhere print, and what the launcher itself has to say,
comes from mpiexec (`Forwarder`).
"""

from __future__ import annotations

import os
import select
import socket
import sys
import threading
from collections import deque
from contextlib import suppress
from time import monotonic
from typing import IO

from dispel4py.standard_streams.output import write_whole_lines

#: Seconds without output after which a pipe that somebody holds open is given up.
_IDLE_SECONDS = 0.5
_READ_BYTES = 1 << 16
_TAIL_BYTES = 4096


def lend(line: socket.socket) -> None:
    """Send the standard output and error of this process over a Unix socket.

    Raises:
        OSError: the other end is closed.
    """
    nothing = os.open(os.devnull, os.O_WRONLY)
    try:
        # Where a stream was closed, its number may be that of some other file.
        streams = [(1, sys.__stdout__), (2, sys.__stderr__)]
        files = [nothing if stream is None else number for number, stream in streams]
        socket.send_fds(line, [b"\0"], files)
    finally:
        os.close(nothing)


def borrow(line: socket.socket) -> None:
    """Take what `lend` sends as standard output and error of this process.

    Raises:
        OSError: the other end is closed; nothing is changed.
    """
    _, files, _, _ = socket.recv_fds(line, 1, 2)
    if len(files) != 2:
        raise OSError("nothing was lent")
    for number, (file, stream) in enumerate(zip(files, (sys.stdout, sys.stderr), strict=True), 1):
        if stream is not None:
            stream.flush()
        os.dup2(file, number)
        os.close(file)
    write_whole_lines()


class Forwarder:
    """Writes to a file descriptor what comes from a pipe, and keeps the last of it.

    Args:
        pipe: read until its end.
        to: the file descriptor.

    Attributes:
        silent: discard what comes.
        error: why nothing can be written any more, unless nobody reads it.
        tail: the last bytes.
    """

    def __init__(self, pipe: IO[bytes], to: int) -> None:
        self.silent = False
        self.error: OSError | None = None
        self.tail: deque[int] = deque(maxlen=_TAIL_BYTES)
        self._pipe = pipe
        self._to = to
        self._is_writing = False
        self._moved_at = monotonic()
        self._thread = threading.Thread(target=self._forward, name="d4py-mpi-output", daemon=True)
        self._thread.start()

    def is_busy(self, seconds: float) -> bool:
        """Return whether something waits to be written, or was in the last `seconds`."""
        if self.silent or not self._thread.is_alive():
            return False
        return self._is_writing or monotonic() - self._moved_at < seconds

    def join(self) -> None:
        """Wait until all is written, however slowly it is read.

        A process that a PE has started may hold the pipe open: it is not waited for.
        """
        while self.is_busy(_IDLE_SECONDS):
            self._thread.join(_IDLE_SECONDS / 10)

    def _forward(self) -> None:
        with self._pipe:
            while data := os.read(self._pipe.fileno(), _READ_BYTES):
                self.tail.extend(data[-_TAIL_BYTES:])
                self._moved_at = monotonic()
                self._is_writing = True
                self._write(memoryview(data))
                self._is_writing = False
                self._moved_at = monotonic()

    def _write(self, rest: memoryview) -> None:
        while rest and not self.silent:
            try:
                rest = rest[os.write(self._to, rest) :]
            except BlockingIOError:  # whoever shares it has made it non-blocking
                with suppress(OSError):
                    select.select([], [self._to], [], _IDLE_SECONDS)
            except BrokenPipeError:
                self.silent = True
            except OSError as error:
                self.error = error
                self.silent = True
