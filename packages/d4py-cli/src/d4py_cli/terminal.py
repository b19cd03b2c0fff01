"""A terminal with some lines at its lower end that stay there while others print above them.

Worker processes print to the terminal too, so this process cannot know where the cursor is.  While
a `Terminal` is open, standard output and error of this process and of those that it starts
therefore lead into a pseudo-terminal.  A process of its own copies what arrives to the real one,
around the lines at the end: a thread would keep workers from being forked.
"""

from __future__ import annotations

import os
import sys
import termios
import traceback
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from multiprocessing.connection import Connection, Pipe, wait
from time import monotonic
from types import TracebackType
from typing import Any

from dispel4py.processes.native_threads import fork_warnings_suppressed
from dispel4py.processes.start_methods import stop_signals_blocked
from dispel4py.standard_streams.output import write_all

_OFLAG = 1
#: Seconds between two looks of the copying process whether this one is still there.
_LOOK_SECONDS = 0.5
#: Seconds for which the rest of a line is waited for that has come in part.
_LINE_SECONDS = 0.5
#: How often it reads at the end, at the most: more than a pseudo-terminal holds.
_MOST_READS = 64


#: Makes the text, whole lines, that is to stand at the end.
Render = Callable[..., str]


class Terminal(AbstractContextManager["Terminal"]):
    """Open while something stands at the end of the terminal that is standard error.

    Args:
        prepare: gives what makes the text; both are called in the process that copies.
    """

    def __init__(self, prepare: Callable[[], Render]) -> None:
        self._prepare = prepare

    def __enter__(self) -> Terminal:
        _flush()
        copied, inner = os.openpty()
        _make_alike(inner, 2)
        line, self._line = Pipe()
        self._start_copying(copied, inner, line)
        same = os.path.samestat(os.fstat(1), os.fstat(2))
        self._saved = {fd: os.dup(fd) for fd in ((1, 2) if same else (2,))}
        for fd in self._saved:
            os.dup2(inner, fd)
        for fd in (copied, inner):
            os.close(fd)
        line.close()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        _flush()
        with suppress(OSError, EOFError):
            self._line.send(None)
            self._line.recv()  # all that was printed so far is on the real one
        for fd, saved in self._saved.items():
            os.dup2(saved, fd)
            os.close(saved)
        self._line.close()

    def show(self, *what: Any, stays: bool = False) -> None:
        """Let something stand at the end, instead of what stands there.

        Args:
            *what: arguments for what `prepare` gave; picklable.
            stays: it is left there for good.
        """
        with suppress(OSError):  # the process was killed
            self._line.send((what, stays))

    def _start_copying(self, copied: int, inner: int, line: Connection) -> None:
        """Fork the process that copies.

        It is no child of this one, for which the user's code may wait: what it forks forks it.
        """
        parent = os.getpid()
        with stop_signals_blocked(), fork_warnings_suppressed():
            between = os.fork()
            if between == 0:
                try:
                    if os.fork() == 0:
                        os.close(inner)
                        self._line.close()
                        _Copier(copied, line, parent).run(self._prepare())
                finally:
                    os._exit(0)
        os.waitpid(between, 0)


class _Copier:
    """Copies to the real terminal, standard error, what arrives at the other one.

    Args:
        copied: where it arrives.
        line: to the process that shows something at the end.
        parent: the number of that process.
    """

    def __init__(self, copied: int, line: Connection, parent: int) -> None:
        self._copied = copied
        self._line = line
        self._parent = parent
        self._height = 0
        self._arrived_at = 0.0
        self._in_line = False  # what was printed last did not end its line

    def run(self, render: Render) -> None:
        """Go on until asked to end, or the other process is gone."""
        while True:
            ready = wait([self._copied, self._line], _LOOK_SECONDS)
            if self._copied in ready:
                self._copy()
            if self._line in ready:
                message = self._line.recv()
                if message is None:
                    self._finish()
                    return
                what, stays = message
                if not stays and self._is_amid_a_line():
                    continue  # the next time, below the rest of that line
                try:
                    text = render(*what)
                except Exception:  # what is printed still has to be copied
                    text = traceback.format_exc()
                self._show(text.encode())
                if stays:
                    self._height = 0
            if not ready:
                os.kill(self._parent, 0)  # raises if it is not

    def _finish(self) -> None:
        """Copy what has arrived, but not for ever, and say that this is done."""
        for _ in range(_MOST_READS):
            if not wait([self._copied], 0):
                break
            self._copy()
        self._erase()
        self._line.send(None)

    def _copy(self) -> None:
        data = os.read(self._copied, 1 << 16)
        self._erase()
        self._write(data)
        self._in_line = not data.endswith(b"\n")
        self._arrived_at = monotonic()

    def _is_amid_a_line(self) -> bool:
        return self._in_line and monotonic() - self._arrived_at < _LINE_SECONDS

    def _show(self, text: bytes) -> None:
        self._erase()
        self._write((b"\n" if self._in_line else b"") + text)
        self._in_line = False
        self._height = text.count(b"\n")

    def _erase(self) -> None:
        if self._height:
            self._write(b"\r\x1b[%dA\x1b[J" % self._height)
            self._height = 0

    def _write(self, data: bytes) -> None:
        with suppress(OSError):  # the terminal has gone away
            write_all(2, data)


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
