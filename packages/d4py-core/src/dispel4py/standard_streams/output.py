"""Standard output and standard error of processes or threads that share them, by whole lines.

All processes of a run print to one terminal, pipe or file.  Each line that Python code prints is
written at once by one system call, so no line is split by those of other processes or lost when its
process is killed.  An incomplete line is kept until its end is printed, or until a `flush`.
"""

from __future__ import annotations

import errno
import io
import os
import select
import stat
import sys
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, TextIO

from dispel4py.standard_streams.line_buffered_text import MAX_KEPT, WRITING, LineBufferedText

_lockf: Any = None
with suppress(ImportError):  # not on this platform
    from fcntl import LOCK_EX, LOCK_UN
    from fcntl import lockf as _lockf

#: With Python's lock, what threads print to its own streams is not mixed.
_HAS_LOCK: bool = getattr(sys, "_is_gil_enabled", lambda: True)()


def write_whole_lines(*, at_once: bool = True) -> None:
    """Make standard output and error of this process write whole lines.

    Python's stream objects are kept, since log handlers and `redirect_stdout` may refer to them.
    Streams that have replaced them, as in notebooks, are wrapped.  Call this again when the
    descriptors have been redirected.

    Args:
        at_once: write each line when it ends; otherwise only where Python would.
    """
    for stream in _standard_streams():
        with suppress(OSError, ValueError):  # closed, detached or without a descriptor
            if isinstance(stream, io.TextIOWrapper):
                _write_whole_lines(stream, at_once=at_once)
    if at_once:
        own = (io.StringIO, LineBufferedText, io.TextIOWrapper)[: 3 if _HAS_LOCK else 2]
        for name in ("stdout", "stderr"):
            stream = getattr(sys, name)
            if stream is not None and not isinstance(stream, own):
                setattr(sys, name, LineBufferedText(stream))


def _write_whole_lines(stream: io.TextIOWrapper, *, at_once: bool) -> None:
    buffer: Any = stream.buffer
    if isinstance(buffer, _LineWriter):
        buffer.refresh_target()
        if at_once:
            buffer.is_flushed_by_line = True
            stream.reconfigure(line_buffering=True)
        return
    raw = getattr(buffer, "raw", buffer)
    if not isinstance(buffer, io.BufferedWriter | io.FileIO) or not isinstance(raw, io.FileIO):
        return
    if raw.fileno() not in (1, 2):
        if at_once:
            stream.reconfigure(line_buffering=True, write_through=False)
        return
    at_once = at_once or stream.line_buffering or buffer is raw
    encoding, errors = stream.encoding, stream.errors
    lines: Any = _LineWriter(stream.detach(), is_flushed_by_line=at_once)
    stream.__init__(lines, encoding, errors, "\n", at_once)  # type: ignore[misc]


def flush_standard_streams() -> list[str]:
    """Flush standard output and error; return a sentence for each that fails."""
    problems = []
    for stream in _standard_streams():
        try:
            stream.flush()
        except OSError as error:
            name = getattr(stream, "name", "standard output")
            problems.append(f"cannot write printed data to {name}: {error.strerror}")
        except (ValueError, AttributeError):  # it is closed, or of a class of the user's own
            pass
    return problems


def write_line(stream: TextIO, line: str) -> None:
    """Write a line to a stream at once; whole if the stream is standard output or error.

    Raises:
        OSError: it cannot be written.
    """
    if getattr(stream, "closed", stream is None):  # by a PE
        raise OSError(errno.EBADF, "it is closed")
    flush = getattr(stream, "flush", lambda: None)  # a class of the user's own may lack it
    flush()
    if _lockf is None or stream not in (sys.__stdout__, sys.__stderr__):
        stream.write(f"{line}\n")
        flush()
        return
    data = f"{line}\n".encode(stream.encoding, stream.errors or "strict")
    with WRITING:
        write_all(stream.fileno(), data, is_shared=_needs_lock(stream.fileno()))


def write_all(descriptor: int, data: bytes, *, is_shared: bool = False) -> None:
    """Write bytes to a descriptor, and wait as long as that takes.

    Args:
        descriptor: of a file, terminal, pipe or socket.
        data: the bytes.
        is_shared: lock the file meanwhile, against other processes that use this function.

    Raises:
        OSError: they cannot be written.
    """
    # This kind of lock works between a process and its forks, and ends with the process.
    is_locked = is_shared and _set_lock(descriptor, LOCK_EX)
    try:
        written = 0
        while written < len(data):
            try:
                written += os.write(descriptor, memoryview(data)[written:] if written else data)
            except BlockingIOError:  # non-blocking, and its reader is slow
                select.select([], [descriptor], [])
    finally:
        if is_locked:
            _set_lock(descriptor, LOCK_UN)


def _standard_streams() -> Iterator[TextIO]:
    seen: list[TextIO] = []
    for stream in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__):
        if stream is not None and not any(stream is other for other in seen):
            seen.append(stream)
            yield stream


class _LineWriter(io.BufferedIOBase):
    """The binary layer of a standard stream, which writes whole lines.

    Args:
        inner: the layer that is replaced, to which others may still refer.
        is_flushed_by_line: see `flush`.
    """

    def __init__(self, inner: Any, *, is_flushed_by_line: bool) -> None:
        self.is_flushed_by_line = is_flushed_by_line
        self._inner = inner
        self._descriptor: int = inner.fileno()
        self.refresh_target()
        self._kept: list[bytes] = []
        self._size = 0
        self._ends_in_line = False

    def refresh_target(self) -> None:
        """Check again what the descriptor refers to, which `os.dup2` may have changed."""
        self._is_shared = _needs_lock(self._descriptor)

    @property
    def name(self) -> Any:
        """Name of the stream."""
        return self._inner.name

    @property
    def mode(self) -> str:
        """Mode of the stream."""
        return str(self._inner.mode)

    @property
    def raw(self) -> Any:
        """The unbuffered layer."""
        return getattr(self._inner, "raw", self._inner)

    def fileno(self) -> int:
        """Return the descriptor."""
        return self._descriptor

    def isatty(self) -> bool:
        """Return whether this is a terminal."""
        return os.isatty(self._descriptor)

    def writable(self) -> bool:
        """Return True."""
        return True

    def write(self, data: Any, /) -> int:
        """Write the complete lines in these bytes, and keep the rest."""
        if type(data) is bytes and data[-1:] == b"\n" and not self._kept:  # most of all
            with WRITING:
                write_all(self._descriptor, data, is_shared=self._is_shared)
            return len(data)
        piece = bytes(memoryview(data))
        # A carriage return is that of a progress bar, which is shown before its line ends.
        end = len(piece) if b"\r" in piece else piece.rfind(b"\n") + 1
        with WRITING:
            if end:
                self._write_kept(piece[:end])
            if end < len(piece):
                self._kept.append(piece[end:])
                self._size += len(piece) - end
                if self._size > MAX_KEPT:
                    self._write_kept(b"")
            self._ends_in_line = self.is_flushed_by_line and 0 < end < len(piece)
        return len(piece)

    def flush(self) -> None:
        """Write what is kept.

        A text stream that is flushed by line also flushes after text that ends in an incomplete
        line.  Such a flush is ignored.
        """
        if self.closed:
            raise ValueError("flush of closed file")
        with WRITING:
            if self._kept and not self._ends_in_line:
                self._write_kept(b"")
            self._ends_in_line = False
        self._inner.flush()

    def close(self) -> None:
        """Write what is kept, and close the replaced layer."""
        if not self.closed:
            try:
                super().close()
            finally:
                self._inner.close()

    def _write_kept(self, more: bytes) -> None:
        data = b"".join([*self._kept, more]) if self._kept else more
        self._kept.clear()
        self._size = 0
        write_all(self._descriptor, data, is_shared=self._is_shared)


def _needs_lock(descriptor: int) -> bool:
    """Return whether concurrent writes of several processes may be interleaved.

    They are not in files and on terminals, which the system locks for each call.
    """
    mode = os.fstat(descriptor).st_mode
    return _lockf is not None and (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode))


def _set_lock(descriptor: int, how: int) -> bool:
    """Lock or unlock the file of a descriptor; return False where that is not possible."""
    try:
        _lockf(descriptor, how)
    except OSError:
        return False
    return True
