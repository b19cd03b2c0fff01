"""Sockets that keep waiting for a busy server on this machine.

A server processes one command after the other, and some take long: an item of hundreds of
megabytes, a fork for a snapshot.  Where its process is visible, a timeout need not be guessed.
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

#: Seconds to wait for a server that runs but neither sends nor receives.
_BUSY_SECONDS = 120.0
#: Size in bytes up to which data is sent in one call.
_SMALL_BYTES = 1 << 14


class WaitingSocket(socket.socket):
    """A connection to a server whose process is on this machine.

    It times out when that process does not run, or nothing was sent or received for very long.

    Attributes:
        process: id of the server's process.
    """

    process = 0

    @classmethod
    def from_socket(cls, plain: socket.socket, process: int) -> WaitingSocket:
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
        """See `socket.socket`; the timeout starts again whenever some data was sent."""
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


def is_to_this_host(connection: socket.socket) -> bool:
    """Return whether a connection does not leave this host, so that no network can break it.

    That a server's process is visible here does not mean so: hosts with networks of their own may
    share processes, and a process of another host may have the same id and name.
    """
    if connection.family == socket.AF_UNIX:
        return True
    return bool(connection.getpeername()[0] == connection.getsockname()[0])


def local_process(info: dict[str, Any]) -> int | None:
    """Return the id of a server's process, if it is on this machine.

    Args:
        info: the server's reply to INFO server.
    """
    number, program = info.get("process_id"), Path(str(info.get("executable", "")))
    try:  # in a container, its number would be another one here
        name = Path(f"/proc/{number}/comm").read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return None
    return int(number or 0) if name and program.name.startswith(name) else None
