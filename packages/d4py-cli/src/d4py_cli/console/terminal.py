"""A terminal with some lines at its lower end that stay there while others print above them.

Worker processes print to the terminal too, so this process cannot know where the cursor is.  While
a `Terminal` is open, standard output and error of this process and of those that it starts
therefore lead into a pseudo-terminal.  A separate process copies its content to the real terminal,
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
from typing import Any, Protocol

from dispel4py.processes.native_threads import fork_warnings_suppressed
from dispel4py.standard_streams.output import write_all
from dispel4py.stop_signals import stop_signals_blocked

_OFLAG = 1
#: Seconds between two checks of the copying process that this one still runs.
_POLL_SECONDS = 0.5
#: Seconds to wait for the rest of a line of which a part has been printed.
_LINE_SECONDS = 0.5
#: Seconds between two drawings of the lines at the end.
_DRAW_SECONDS = 0.2
#: Maximum number of reads at the end: together more than a pseudo-terminal buffers.
_MAX_READS = 64


class Screen(Protocol):
    """What is at the end of a terminal; an object of the copying process."""

    def handle(self, message: Any) -> None:
        """Take note of a message."""

    def text(self, *, whole: bool) -> str:
        """Return the text, in whole lines; empty for none.

        Args:
            whole: it may be higher than the terminal, as it is not drawn anew.
        """


class Terminal(AbstractContextManager["Terminal"]):
    """A terminal, standard error, that keeps some lines at its end while it is open.

    Args:
        prepare: Makes the `Screen`, in the copying process.  What it shows last stays there.
    """

    def __init__(self, prepare: Callable[[], Screen]) -> None:
        self._prepare = prepare

    def __enter__(self) -> Terminal:
        _flush()
        copied, inner = os.openpty()
        _copy_settings(inner, 2)
        channel, self._channel = Pipe()
        self._start_copying(copied, inner, channel)
        same = os.path.samestat(os.fstat(1), os.fstat(2))
        self._saved = {fd: os.dup(fd) for fd in ((1, 2) if same else (2,))}
        for fd in self._saved:
            os.dup2(inner, fd)
        for fd in (copied, inner):
            os.close(fd)
        channel.close()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        _flush()
        with suppress(OSError, EOFError):
            self._channel.send(None)
            self._channel.recv()  # acknowledged: all that was printed is on the real terminal
        for fd, saved in self._saved.items():
            os.dup2(saved, fd)
            os.close(saved)
        self._channel.close()

    def send(self, message: Any) -> None:
        """Send a picklable message to the screen."""
        with suppress(OSError):  # the process was killed
            self._channel.send(message)

    def _start_copying(self, copied: int, inner: int, channel: Connection) -> None:
        """Fork the copying process.

        It is forked twice, so that it is not a child that the user's code could wait for.
        """
        parent = os.getpid()
        with stop_signals_blocked(), fork_warnings_suppressed():
            between = os.fork()
            if between == 0:
                try:
                    if os.fork() == 0:
                        os.close(inner)
                        self._channel.close()
                        _Copier(copied, channel, parent).run(self._prepare())
                finally:
                    os._exit(0)
        os.waitpid(between, 0)


class _Copier:
    """Copies the pseudo-terminal's content to the real terminal, which is standard error.

    Args:
        copied: The controlling end of the pseudo-terminal.
        channel: A connection to the process that opened the terminal.
        parent: The id of that process.
    """

    def __init__(self, copied: int, channel: Connection, parent: int) -> None:
        self._copied = copied
        self._channel = channel
        self._parent = parent
        self._height = 0
        self._arrived_at = self._drawn_at = 0.0
        self._in_line = False  # the last output did not end its line

    def run(self, screen: Screen) -> None:
        """Copy until the other process closes the terminal or ends."""
        while True:
            left = self._drawn_at + _DRAW_SECONDS - monotonic()
            ready = wait([self._copied, self._channel], left if left > 0 else _POLL_SECONDS)
            if self._copied in ready:
                self._copy()
            if self._channel in ready:
                message = self._channel.recv()
                if message is None:
                    self._finish(screen)
                    return
                screen.handle(message)
            if not ready:
                os.kill(self._parent, 0)  # raises if the process has ended
            # What has begun a line waits for its rest.
            if monotonic() >= self._drawn_at + _DRAW_SECONDS and not self._is_mid_line():
                self._draw(screen)

    def _finish(self, screen: Screen) -> None:
        """Copy what has been printed so far, within a limit, and acknowledge."""
        for _ in range(_MAX_READS):
            if not wait([self._copied], 0):
                break
            self._copy()
        self._draw(screen, whole=True)
        self._channel.send(None)

    def _draw(self, screen: Screen, *, whole: bool = False) -> None:
        self._drawn_at = monotonic()
        try:
            text = screen.text(whole=whole)
        except Exception:  # copying must go on
            text = traceback.format_exc()
        if text or self._height:
            self._show(text.encode())

    def _copy(self) -> None:
        data = os.read(self._copied, 1 << 16)
        self._erase()
        self._write(data)
        self._in_line = not data.endswith(b"\n")
        self._arrived_at = monotonic()

    def _is_mid_line(self) -> bool:
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


def _copy_settings(inner: int, real: int) -> None:
    settings = termios.tcgetattr(inner)
    settings[_OFLAG] &= ~termios.OPOST  # the real terminal converts line ends
    termios.tcsetattr(inner, termios.TCSANOW, settings)
    with suppress(OSError, termios.error):
        termios.tcsetwinsize(inner, termios.tcgetwinsize(real))
