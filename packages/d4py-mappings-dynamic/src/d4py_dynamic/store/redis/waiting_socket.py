"""Sockets that wait on for a server of this machine that is busy.

A server does one thing after the other, and one of them may take long: an item of hundreds of
megabytes, a fork for a snapshot.  Where its process can be seen, nobody has to guess.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import Any, TypeVar

from dispel4py.processes.process_table import is_running

_T = TypeVar("_T")

#: Seconds to wait for a server that runs and does nothing that we see.
_BUSY_SECONDS = 120.0
#: What is sent in one go.
_SMALL_BYTES = 1 << 14


class WaitingSocket(socket.socket):
    """A connection to a server whose process is on this machine.

    It times out when that process does not run, or nothing has come or gone for very long.

    Attributes:
        process: number of the server's process.
    """

    process = 0

    @classmethod
    def made_of(cls, plain: socket.socket, process: int) -> WaitingSocket:
        """Return the same connection as a socket of this kind."""
        seconds = plain.gettimeout()
        made = cls(plain.family, plain.type, plain.proto, plain.detach())
        made.settimeout(seconds)
        made.process = process
        return made

    def recv(self, *arguments: Any) -> bytes:
        """See `socket.socket`."""
        try:
            return super().recv(*arguments)
        except TimeoutError:
            return self._wait_on(super().recv, *arguments)

    def recv_into(self, *arguments: Any) -> int:
        """See `socket.socket`."""
        try:
            return super().recv_into(*arguments)
        except TimeoutError:
            return self._wait_on(super().recv_into, *arguments)

    def sendall(self, data: Any, *flags: int) -> None:
        """See `socket.socket`; the time begins anew whenever some of it is sent."""
        if len(data) < _SMALL_BYTES:
            super().sendall(data, *flags)
            return
        left = memoryview(data).cast("B")
        while left:
            try:
                sent = super().send(left, *flags)
            except TimeoutError:
                sent = self._wait_on(super().send, left, *flags)
            left = left[sent:]

    def _wait_on(self, act: Callable[..., _T], *arguments: Any) -> _T:
        until = monotonic() + _BUSY_SECONDS
        while monotonic() < until and is_running(self.process):
            with suppress(TimeoutError):
                return act(*arguments)
        raise TimeoutError("timed out")


def process_here(info: dict[str, Any]) -> int | None:
    """Return the number of a server's process, if it is one of this machine.

    Args:
        info: what the server says of itself (INFO server).
    """
    number, program = info.get("process_id"), Path(str(info.get("executable", "")))
    try:  # in a container, its number would be another one here
        name = Path(f"/proc/{number}/comm").read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return None
    return int(number or 0) if name and program.name.startswith(name) else None
