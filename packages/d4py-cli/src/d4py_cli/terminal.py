"""A terminal with some lines at its lower end that stay there while others print above them.

Worker processes print to the terminal too, so this process cannot know where the cursor is.  While
a `Terminal` is open, standard output and error of this process and of those that it starts
therefore lead into a pseudo-terminal, and a thread copies what arrives to the real one, around the
lines at the end.
"""

from __future__ import annotations

import os
import select
import sys
import termios
import threading
from contextlib import AbstractContextManager, suppress
from time import monotonic
from types import TracebackType

from dispel4py.standard_output import write_all

_OFLAG = 1
#: Seconds for which the rest of a line is waited for that has come in part.
_LINE_SECONDS = 0.5


class Terminal(AbstractContextManager["Terminal"]):
    """Open while something stands at the end of the terminal that is standard error."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._height = 0
        self._arrived_at = 0.0
        self._in_line = False  # what was printed last did not end its line

    def __enter__(self) -> Terminal:
        _flush()
        self._real = os.dup(2)
        self._copied, inner = os.openpty()
        _make_alike(inner, self._real)
        same = os.path.samestat(os.fstat(1), os.fstat(2))
        self._saved = {fd: os.dup(fd) for fd in ((1, 2) if same else (2,))}
        for fd in self._saved:
            os.dup2(inner, fd)
        os.close(inner)
        self._stop, self._stopper = os.pipe()
        self._thread = threading.Thread(target=self._copy, name="d4py-terminal", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        self.show("")
        _flush()
        os.write(self._stopper, b".")
        self._thread.join()
        for fd, saved in self._saved.items():
            os.dup2(saved, fd)
            os.close(saved)
        for fd in (self._real, self._copied, self._stop, self._stopper):
            os.close(fd)

    def show(self, text: str) -> None:
        """Let `text`, whole lines, stand at the end, instead of what stands there."""
        with self._lock:
            if text and self._in_line and monotonic() - self._arrived_at < _LINE_SECONDS:
                return  # the next time, below the rest of that line
            self._erase()
            if text:
                start = "\n" if self._in_line else ""
                # First: a signal may raise KeyboardInterrupt as soon as the text is there.
                self._height, self._in_line = text.count("\n"), False
                self._write(start + text)

    def _copy(self) -> None:
        while True:
            ready, _, _ = select.select([self._copied, self._stop], [], [])
            if self._copied not in ready:
                return
            try:
                data = os.read(self._copied, 1 << 16)
            except OSError:
                return
            with self._lock:
                self._erase()
                self._write(data)
                self._in_line = not data.endswith(b"\n")
                self._arrived_at = monotonic()

    def _erase(self) -> None:
        if self._height:
            self._write(f"\r\x1b[{self._height}A\x1b[J")
            self._height = 0

    def _write(self, data: str | bytes) -> None:
        shown = data.encode() if isinstance(data, str) else data
        with suppress(OSError):  # the terminal has gone away
            write_all(self._real, shown)


def _flush() -> None:
    for stream in sys.stdout, sys.stderr:
        with suppress(OSError, ValueError):
            stream.flush()


def _make_alike(inner: int, real: int) -> None:
    settings = termios.tcgetattr(inner)
    settings[_OFLAG] &= ~termios.OPOST  # the real one makes its line ends itself
    termios.tcsetattr(inner, termios.TCSANOW, settings)
    with suppress(OSError, termios.error):
        termios.tcsetwinsize(inner, termios.tcgetwinsize(real))
