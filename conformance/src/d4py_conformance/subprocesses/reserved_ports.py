"""`ReservedPort`: a port for a server that a test starts, and may start again."""

from __future__ import annotations

import socket
import sys
from types import TracebackType
from typing import Self

_HOST = "127.0.0.1"


class ReservedPort:
    """A port of this host that no other program gets as a free one until it is closed.

    A socket is bound to it that does not listen, so a server that sets SO_REUSEADDR, as servers do,
    may bind it too.  That is so on Linux; elsewhere the port was free a moment ago.

    Args:
        number: the port; 0 takes any that is free.

    Attributes:
        number: the port.

    Raises:
        OSError: another socket is bound to the port.
    """

    def __init__(self, number: int = 0) -> None:
        self._socket = socket.socket()
        try:
            self._socket.bind((_HOST, number))
        except OSError:
            self._socket.close()
            raise
        self.number: int = self._socket.getsockname()[1]
        # Not before: two of these could have one port.
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if sys.platform != "linux":
            self._socket.close()

    def close(self) -> None:
        """Let others have the port."""
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        self.close()
