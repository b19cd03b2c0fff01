"""Connections to a Redis server that are made again when they break.

A command is sent again then, until the deadline of its retries; so all commands must be right if
they are processed twice.  See `IdempotentScripts`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from socket import socket
from typing import Any

import redis
from redis.connection import Connection

from d4py_dynamic.store.redis.address import Address
from d4py_dynamic.store.redis.retry import RetryUntilDeadline
from d4py_dynamic.store.redis.waiting_socket import WaitingSocket, is_to_this_host

#: Seconds to wait for a server's answer before it counts as gone, and how many bytes sent add one.
ANSWER_SECONDS, _BYTES_PER_SECOND = 3.0, 16 << 20
#: Size in bytes up to which sending takes no time.
_SMALL_BYTES = 1 << 20


class _TimedConnection:
    """Sets each answer's timeout: longer where much was sent, and never beyond the deadline.

    A mixin for subclasses of redis-py's `AbstractConnection`.
    """

    _sock: Any
    retry: RetryUntilDeadline
    disconnect: Callable[[], None]
    socket_timeout: float
    socket_connect_timeout: float

    def connect(self) -> None:
        """Connect, also where a pool finds this connection broken before it sends a command."""
        parent: Any = super()
        self.retry.call_with_retry(parent.connect, lambda error: self.disconnect())

    def _connect(self) -> Any:
        parent: Any = super()
        seconds = self.socket_connect_timeout
        self.socket_connect_timeout = self.retry.limit(seconds)
        try:
            made = parent._connect()
            is_plain = type(made) is socket  # not one with TLS
            if self.retry.process is None or not is_plain or not is_to_this_host(made):
                return made
            return WaitingSocket.from_socket(made, self.retry.process)
        finally:
            self.socket_connect_timeout = seconds

    def send_packed_command(self, command: Any, check_health: Any = True) -> None:
        """See `AbstractConnection`."""
        parent: Any = super()
        if self._sock is None:
            self.connect()
        size = len(command) if isinstance(command, str) else sum(map(len, command))
        seconds = self.retry.limit(self.socket_timeout)
        if size > _SMALL_BYTES:
            seconds += size / _BYTES_PER_SECOND
        if self._sock.gettimeout() != seconds:  # setting it is a system call
            self._sock.settimeout(seconds)
        parent.send_packed_command(command, check_health)


@cache
def _timed(kind: type) -> type:
    """Return a subclass of a class of connections, with `_TimedConnection`."""
    return type(f"Timed{kind.__name__}", (_TimedConnection, kind), {})


def connect(address: Address, seconds: float = ANSWER_SECONDS) -> redis.Redis:
    """Return a client of a server.

    Args:
        address: the server.
        seconds: timeout of an answer, unless the URL has one or the server's process is seen to
            run.

    Raises:
        OptionError: see `Address.settings`.
    """
    settings = address.settings()
    kind = settings.pop("connection_class", Connection)
    given = {"socket_connect_timeout": seconds, "socket_timeout": seconds, **settings}
    # All settings of the URL are in `given`; settings in a URL would override the arguments.
    client: redis.Redis = redis.from_url(
        "redis://",
        connection_class=_timed(kind),
        retry=RetryUntilDeadline(address.reconnect_seconds, address.process),
        **given,
    )
    return client


def broken_connections(client: redis.Redis) -> int:
    """Return how many connections of a client have broken so far."""
    retry = client.connection_pool.connection_kwargs["retry"]
    assert isinstance(retry, RetryUntilDeadline)
    return retry.broken
