"""`LineBufferedText`: a text stream to which several threads print whole lines.

`print` writes a line in pieces, and between two of them another thread may print.  So the pieces of
a thread are kept until its line ends.
"""

from __future__ import annotations

import io
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

#: Longest incomplete line that is kept, in bytes or characters.
MAX_KEPT = 64 << 20

#: Locked while this process writes: its threads and its two streams may write to the same file.
WRITING = threading.RLock()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=WRITING._at_fork_reinit)  # type: ignore[attr-defined]


class LineBufferedText(io.TextIOBase):
    """A text stream that writes whole lines to another one.

    Args:
        stream: the other stream, of any class.
    """

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._incomplete: dict[int, io.StringIO] = {}

    def __getattr__(self, name: str) -> Any:
        if name == "_stream":  # it is being copied
            raise AttributeError(name)
        return getattr(self._stream, name)

    @property
    def encoding(self) -> Any:  # type: ignore[override]
        """Encoding of the other stream."""
        return getattr(self._stream, "encoding", None)

    @property
    def errors(self) -> Any:  # type: ignore[override]
        """Error handler of the other stream's encoding."""
        return getattr(self._stream, "errors", None)

    def fileno(self) -> int:
        """Return the descriptor of the other stream."""
        return int(self._stream.fileno())

    def isatty(self) -> bool:
        """Return whether the other stream is a terminal."""
        return bool(self._stream.isatty())

    def writable(self) -> bool:
        """Return True."""
        return True

    def write(self, text: str, /) -> int:
        """Write the complete lines in what this thread prints, and keep the rest."""
        thread = threading.get_ident()
        # A carriage return is that of a progress bar, which is shown before its line ends.
        end = len(text) if "\r" in text else text.rfind("\n") + 1
        if end:
            self._write(self._take(thread) + text[:end])
        if end < len(text):
            kept = self._incomplete.get(thread)
            if kept is None:
                kept = self._incomplete[thread] = io.StringIO(newline="")
            kept.write(text[end:])
            if kept.tell() > MAX_KEPT:
                self._write(self._take(thread))
        return len(text)

    def flush(self) -> None:
        """Write what this thread has kept, and what threads have that have ended."""
        if self._incomplete:
            running = {thread.ident for thread in threading.enumerate()} - {threading.get_ident()}
            for thread in [*self._incomplete]:
                if thread not in running:
                    self._write(self._take(thread))
        self._stream.flush()

    def close(self) -> None:
        """Write what is kept; the other stream stays open."""
        if not getattr(self._stream, "closed", False):
            super().close()

    def _take(self, thread: int) -> str:
        kept = self._incomplete.pop(thread, None)
        return "" if kept is None else kept.getvalue()

    def _write(self, text: str) -> None:
        if text:
            with WRITING:
                self._stream.write(text)


@contextmanager
def whole_lines_of_threads() -> Iterator[None]:
    """Have the threads of this process print whole lines in the block.

    `sys.stdout` and `sys.stderr` are other objects meanwhile.  Blocks of several threads may
    overlap: after the last one both are what they were before the first.
    """
    _replacement.begin()
    try:
        yield
    finally:
        _replacement.end()


class _Replacement:
    """The streams that stand in for standard output and error while there are blocks."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._blocks = 0
        self._ours: dict[str, LineBufferedText] = {}

    def begin(self) -> None:
        with self._lock:
            self._blocks += 1
            if self._blocks > 1:
                return
            for name in ("stdout", "stderr"):
                stream = getattr(sys, name)
                if stream is not None and not isinstance(stream, LineBufferedText):
                    self._ours[name] = LineBufferedText(stream)
                    setattr(sys, name, self._ours[name])

    def end(self) -> None:
        with self._lock:
            self._blocks -= 1
            if self._blocks:
                return
            for name, ours in self._ours.items():
                with suppress(OSError, ValueError):  # the stream is full, or closed
                    ours.flush()
                if getattr(sys, name) is ours:
                    setattr(sys, name, ours._stream)
            self._ours.clear()


_replacement = _Replacement()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_replacement._lock._at_fork_reinit)  # type: ignore[attr-defined]
