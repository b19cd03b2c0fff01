"""Standard output and error of MPI ranks.

A rank on the driver's machine writes to the driver's own streams (`share_streams`,
`adopt_streams`), so that no launcher changes or delays its output.  The output of ranks elsewhere,
and of mpiexec itself, is copied from the pipes of mpiexec (`OutputForwarder`).
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

from d4py_fixed.mpi.limits import MpiLimits
from dispel4py.standard_streams.output import write_whole_lines

_READ_BYTES = 1 << 16
_TAIL_BYTES = 4096


def share_streams(connection: socket.socket) -> None:
    """Send the standard output and error of this process through a Unix socket.

    Raises:
        OSError: the other end is closed.
    """
    null = os.open(os.devnull, os.O_WRONLY)
    try:
        # The number of a stream that was closed may be that of another file.
        streams = [(1, sys.__stdout__), (2, sys.__stderr__)]
        files = [null if stream is None else number for number, stream in streams]
        socket.send_fds(connection, [b"\0"], files)
    finally:
        os.close(null)


def adopt_streams(connection: socket.socket) -> None:
    """Make what `share_streams` sends the standard output and error of this process.

    Raises:
        OSError: the other end is closed; nothing is changed.
    """
    _, files, _, _ = socket.recv_fds(connection, 1, 2)
    if len(files) != 2:
        raise OSError("no streams were received")
    for number, (file, stream) in enumerate(zip(files, (sys.stdout, sys.stderr), strict=True), 1):
        if stream is not None:
            stream.flush()
        os.dup2(file, number)
        os.close(file)
    write_whole_lines()


class OutputForwarder:
    """Copies a pipe to a file descriptor in a thread, and keeps the last bytes.

    Args:
        pipe: read until its end.
        to: the file descriptor.
        limits: see `MpiLimits.output_idle_seconds`.

    Attributes:
        silent: discard what is read from now on.
        error: why the file descriptor cannot be written to; None if its reader has gone.
        tail: the last bytes.
    """

    def __init__(self, pipe: IO[bytes], to: int, limits: MpiLimits) -> None:
        self.silent = False
        self.error: OSError | None = None
        self.tail: deque[int] = deque(maxlen=_TAIL_BYTES)
        self._pipe = pipe
        self._to = to
        self._idle_seconds = limits.output_idle_seconds
        self._arrived = select.poll()
        self._arrived.register(pipe, select.POLLIN)
        self._is_writing = False
        self._moved_at = monotonic()
        self._thread = threading.Thread(target=self._forward, name="d4py-mpi-output", daemon=True)
        self._thread.start()

    def is_busy(self, seconds: float) -> bool:
        """Return whether something waits to be read or written, or was in the last `seconds`."""
        if self.silent or not self._thread.is_alive():
            return False
        if self._is_writing or monotonic() - self._moved_at < seconds:
            return True
        return bool(self._arrived.poll(0))  # the thread has not had its turn on a busy machine

    def join(self) -> None:
        """Wait until all is written, however slowly it is read.

        A process that a PE has started may hold the pipe open; it is not waited for.
        """
        while self.is_busy(self._idle_seconds):
            self._thread.join(self._idle_seconds / 10)

    def _forward(self) -> None:
        with self._pipe:
            while data := os.read(self._pipe.fileno(), _READ_BYTES):
                self.tail.extend(data[-_TAIL_BYTES:])
                self._moved_at = monotonic()
                self._is_writing = True
                self._write(memoryview(data))
                self._is_writing = False
                self._moved_at = monotonic()

    def _write(self, unwritten: memoryview) -> None:
        while unwritten and not self.silent:
            try:
                unwritten = unwritten[os.write(self._to, unwritten) :]
            except BlockingIOError:  # another process that shares the file made it non-blocking
                with suppress(OSError):
                    select.select([], [self._to], [], self._idle_seconds)
            except BrokenPipeError:
                self.silent = True
            except OSError as error:
                self.error = error
                self.silent = True
