"""Standard output and standard error of processes that share them: a line leaves in one piece.

All processes of a run print to one terminal, pipe or file.  What Python code prints in one of them
is written line by line, each at once and by itself, so no line is torn by those of other processes
or lost when its process is ended.  What has no end of line yet waits for it, or for a `flush`.
"""

from __future__ import annotations

import io
import os
import select
import stat
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, TextIO

_lockf: Any = None
with suppress(ImportError):  # not on this platform
    from fcntl import LOCK_EX, LOCK_UN
    from fcntl import lockf as _lockf

#: Bytes without an end of line that are kept.
_MOST_HELD = 64 << 20

#: Held while this process writes: its threads, and its two streams, may lead to the same place.
_writing = threading.RLock()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_writing._at_fork_reinit)  # type: ignore[attr-defined]


def write_whole_lines(*, at_once: bool = True) -> None:
    """Have standard output and error of this process write whole lines.

    Python's own stay the same objects, since others may hold them: log handlers, `redirect_stdout`.
    What somebody has put in their place, as notebooks do, is given whole lines.  To be called again
    when their descriptors lead elsewhere.

    Args:
        at_once: write each line when it ends; otherwise only where Python would do so.
    """
    for stream in _standard_streams():
        with suppress(OSError, ValueError):  # closed, detached or without a descriptor
            if isinstance(stream, io.TextIOWrapper):
                _write_whole_lines(stream, at_once=at_once)
    if at_once:
        for name in ("stdout", "stderr"):
            stream = getattr(sys, name)
            if not isinstance(stream, io.TextIOWrapper | io.StringIO | _LineGatherer | None):
                setattr(sys, name, _LineGatherer(stream))


def _write_whole_lines(stream: io.TextIOWrapper, *, at_once: bool) -> None:
    buffer: Any = stream.buffer
    if isinstance(buffer, _LineWriter):
        buffer.look_where_it_leads()
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
    """Write what waits in standard output and error; return what is wrong with those that fail."""
    problems = []
    for stream in _standard_streams():
        try:
            stream.flush()
        except OSError as error:
            name = getattr(stream, "name", "standard output")
            problems.append(f"what was printed cannot be written to {name}: {error.strerror}")
        except (ValueError, AttributeError):  # it is closed, or of a class of the user's own
            pass
    return problems


def write_line(stream: TextIO, line: str) -> None:
    """Write a line and its end to a stream, at once; in one piece if it is standard output.

    Raises:
        OSError: it cannot be written.
    """
    stream.flush()
    if _lockf is None or stream not in (sys.__stdout__, sys.__stderr__):
        stream.write(f"{line}\n")
        stream.flush()
        return
    data = f"{line}\n".encode(stream.encoding, stream.errors or "strict")
    with _writing:
        write_all(stream.fileno(), data, is_torn=_may_be_torn(stream.fileno()))


def write_all(descriptor: int, data: bytes, *, is_torn: bool = False) -> None:
    """Write bytes to a descriptor, however slowly they are read.

    Args:
        descriptor: of a file, terminal, pipe or socket.
        data: the bytes.
        is_torn: keep other processes from writing meanwhile, as far as they write by this.

    Raises:
        OSError: they cannot be written.
    """
    # Of all locks this one holds between a process and its forks, and goes with its holder.
    is_locked = is_torn and _locks(descriptor, LOCK_EX)
    try:
        written = 0
        while written < len(data):
            try:
                written += os.write(descriptor, memoryview(data)[written:] if written else data)
            except BlockingIOError:  # somebody has made it non-blocking, and its reader is slow
                select.select([], [descriptor], [])
    finally:
        if is_locked:
            _locks(descriptor, LOCK_UN)


def _standard_streams() -> Iterator[TextIO]:
    seen: list[TextIO] = []
    for stream in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__):
        if stream is not None and not any(stream is other for other in seen):
            seen.append(stream)
            yield stream


class _LineWriter(io.BufferedIOBase):
    """The binary side of a standard stream.

    Args:
        inner: what was in its place, and is still held by others perhaps.
        is_flushed_by_line: see `flush`.
    """

    def __init__(self, inner: Any, *, is_flushed_by_line: bool) -> None:
        self.is_flushed_by_line = is_flushed_by_line
        self._inner = inner
        self._descriptor: int = inner.fileno()
        self.look_where_it_leads()
        self._held: list[bytes] = []
        self._size = 0
        self._ends_in_line = False

    def look_where_it_leads(self) -> None:
        """Look again what the descriptor leads to, which `os.dup2` may have changed."""
        self._is_torn = _may_be_torn(self._descriptor)

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
        """What writes without a buffer."""
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
        """Write the lines that end in these bytes, and keep the rest."""
        if type(data) is bytes and data[-1:] == b"\n" and not self._held:  # most of all
            with _writing:
                write_all(self._descriptor, data, is_torn=self._is_torn)
            return len(data)
        piece = bytes(memoryview(data))
        # A carriage return is of a progress bar, which is to be seen before its line ends.
        end = len(piece) if b"\r" in piece else piece.rfind(b"\n") + 1
        with _writing:
            if end:
                self._write_held(piece[:end])
            if end < len(piece):
                self._held.append(piece[end:])
                self._size += len(piece) - end
                if self._size > _MOST_HELD:
                    self._write_held(b"")
            self._ends_in_line = self.is_flushed_by_line and 0 < end < len(piece)
        return len(piece)

    def flush(self) -> None:
        """Write what is kept.

        A text stream that is flushed line by line does so after all that has an end of line, though
        it may go on after that.  Such a flush is passed over.
        """
        if self.closed:
            raise ValueError("flush of closed file")
        with _writing:
            if self._held and not self._ends_in_line:
                self._write_held(b"")
            self._ends_in_line = False
        self._inner.flush()

    def close(self) -> None:
        """Write what is kept, and close what was in the place of this."""
        if not self.closed:
            try:
                super().close()
            finally:
                self._inner.close()

    def _write_held(self, more: bytes) -> None:
        data = b"".join([*self._held, more]) if self._held else more
        self._held.clear()
        self._size = 0
        write_all(self._descriptor, data, is_torn=self._is_torn)


class _LineGatherer(io.TextIOBase):
    """A text stream that gives another one whole lines.

    Args:
        stream: the other one; of a class of the user's own.
    """

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._held = ""

    def __getattr__(self, name: str) -> Any:
        if name == "_stream":  # it is being copied
            raise AttributeError(name)
        return getattr(self._stream, name)

    @property
    def encoding(self) -> Any:  # type: ignore[override]
        """Encoding of the other one."""
        return getattr(self._stream, "encoding", None)

    @property
    def errors(self) -> Any:  # type: ignore[override]
        """What the other one does with letters that its encoding lacks."""
        return getattr(self._stream, "errors", None)

    def fileno(self) -> int:
        """Return the descriptor of the other one."""
        return int(self._stream.fileno())

    def isatty(self) -> bool:
        """Return whether the other one is a terminal."""
        return bool(self._stream.isatty())

    def writable(self) -> bool:
        """Return True."""
        return True

    def write(self, text: str, /) -> int:
        """Write the lines that end in a text, and keep the rest."""
        with _writing:
            held = self._held + text
            end = len(held) if "\r" in text else held.rfind("\n") + 1
            self._held = held[end:]
            if end:
                self._stream.write(held[:end])
        return len(text)

    def flush(self) -> None:
        """Write what is kept."""
        with _writing:
            held, self._held = self._held, ""
            if held:
                self._stream.write(held)
        self._stream.flush()


def _may_be_torn(descriptor: int) -> bool:
    """Return whether what one process writes may be cut by what others write meanwhile.

    It is not in files and on terminals, which the system locks for each call.
    """
    mode = os.fstat(descriptor).st_mode
    return _lockf is not None and (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode))


def _locks(descriptor: int, how: int) -> bool:
    """Lock or unlock the file that a descriptor leads to; False where that cannot be done."""
    try:
        _lockf(descriptor, how)
    except OSError:
        return False
    return True
