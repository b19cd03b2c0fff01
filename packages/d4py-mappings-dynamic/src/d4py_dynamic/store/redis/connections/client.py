"""Connections to a Redis server that are made again when they break.

A command is sent again then, until the deadline of its retries; so all commands must be right if
they are processed twice.  See `IdempotentScripts`.  What a broken connection has not delivered is
discarded, so that nothing is processed late, after newer commands.  Where a server may be replaced
by another one, a connection that finds itself at the wrong one counts as broken.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from contextlib import ExitStack
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from socket import AF_UNIX, SO_LINGER, SOL_SOCKET, socket
from typing import Any

import redis
from redis.connection import Connection

from d4py_dynamic.store.redis.connections.address import Address
from d4py_dynamic.store.redis.connections.primary import Primary, primary_of
from d4py_dynamic.store.redis.connections.retry import RetryUntilDeadline, retry_of
from d4py_dynamic.store.redis.connections.waiting_socket import WaitingSocket, is_to_this_host
from d4py_dynamic.store.redis.keys import RUNS

#: Seconds to wait for a server's answer before it counts as gone, and how many bytes sent add one.
ANSWER_SECONDS, _BYTES_PER_SECOND = 3.0, 16 << 20
#: Size in bytes up to which sending takes no time.
_SMALL_BYTES = 1 << 20
#: Closing a socket resets its connection: what was not delivered is not sent any more (socket(7)).
_RESET_AT_CLOSE = struct.pack("ii", 1, 0)
#: Errors of a server that is not, or not now, the primary of a key: classes, and parts of texts.
_REPLACED = (
    *(redis.exceptions.AskError, redis.exceptions.TryAgainError),  # MOVED is a kind of ASK
    *(redis.exceptions.ClusterDownError, redis.ReadOnlyError),
)
_REPLACED_TEXT = re.compile("NOREPLICAS|READONLY|UNBLOCKED force")


class _TimedConnection:
    """Sets each answer's timeout: longer where much was sent, and never beyond the deadline.

    A mixin for subclasses of redis-py's `AbstractConnection`.

    Args:
        primary: finds the server to connect to; None if it is always the same.
    """

    _sock: Any
    host: str
    port: int
    retry: RetryUntilDeadline
    disconnect: Callable[[], None]
    socket_timeout: float
    socket_connect_timeout: float

    def __init__(self, *arguments: Any, primary: Primary | None = None, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self._primary = primary
        self._was_connected = False
        self._is_new = False

    def connect(self) -> None:
        """Connect, also where a pool finds this connection broken before it sends a command."""
        self.retry.call_with_retry(self._connect_to_primary, lambda error: self.disconnect())

    def _connect_to_primary(self) -> None:
        parent: Any = super()
        if self._sock is not None:
            return
        if self._was_connected and not self.retry.is_retrying:  # a pool has found it broken
            self.retry.broken += 1
        parent.connect()
        self._was_connected = True
        if self._primary is not None:
            parent.send_command("DEL", self._primary.probe, check_health=False)
            self.read_response()
        self._is_new = True

    def can_read(self, timeout: float = 0) -> bool:
        """See `AbstractConnection`; a new connection that has broken has nothing to read.

        The pool looks once more when it has made a connection anew, and tries no third time.  The
        command that comes next is tried again.
        """
        parent: Any = super()
        try:
            return bool(parent.can_read(timeout))
        except redis.ConnectionError:
            if not self._is_new:
                raise
            return False

    def _connect(self) -> Any:
        parent: Any = super()
        seconds = self.socket_connect_timeout
        self.socket_connect_timeout = self.retry.limit(seconds)
        try:
            if self._primary is not None:
                self.host, self.port = self._primary.find()
            made = parent._connect()
            if made.family != AF_UNIX:
                made.setsockopt(SOL_SOCKET, SO_LINGER, _RESET_AT_CLOSE)
            is_plain = type(made) is socket  # not one with TLS
            if self.retry.process is None or not is_plain or not is_to_this_host(made):
                return made
            return WaitingSocket.from_socket(made, self.retry.process)
        finally:
            self.socket_connect_timeout = seconds

    def send_packed_command(self, command: Any, check_health: Any = True) -> None:
        """See `AbstractConnection`."""
        parent: Any = super()
        self._is_new = False
        if self._sock is None:
            self.connect()
        elif self._primary is not None and not self._primary.is_at((self.host, self.port)):
            self.disconnect()
            raise redis.ConnectionError(f"{self.host}:{self.port} is not the primary any more")
        size = len(command) if isinstance(command, str) else sum(map(len, command))
        seconds = self.retry.limit(self.socket_timeout)
        if size > _SMALL_BYTES:
            seconds += size / _BYTES_PER_SECOND
        if self._sock.gettimeout() != seconds:  # setting it is a system call
            self._sock.settimeout(seconds)
        try:
            parent.send_packed_command(command, check_health)
        except redis.ConnectionError as error:
            if size > _SMALL_BYTES:
                raise redis.ConnectionError(
                    f"{error} It was to take {size:,} bytes at once; if its proto-max-bulk-len or"
                    " client-query-buffer-limit is smaller, raise that, or send smaller items"
                ) from error
            raise

    def read_response(self, *arguments: Any, **settings: Any) -> Any:
        """See `AbstractConnection`; raise `ConnectionError` at a server that was replaced."""
        parent: Any = super()
        try:
            return parent.read_response(*arguments, **settings)
        except redis.ResponseError as error:
            if self._primary is None or not _is_replaced(error):
                raise
            self.disconnect()
            name = f"{self.host}:{self.port}"
            raise redis.ConnectionError(f"{name} is not the primary now ({error})") from error


def _is_replaced(error: redis.ResponseError) -> bool:
    return isinstance(error, _REPLACED) or bool(_REPLACED_TEXT.search(str(error)))


@cache
def _timed(kind: type) -> type:
    """Return a subclass of a class of connections, with `_TimedConnection`."""
    return type(f"Timed{kind.__name__}", (_TimedConnection, kind), {})


@cache
def _driver() -> dict[str, Any]:
    """Return the setting that names this client to a server, where redis-py takes one.

    Without it redis-py reads and parses the metadata of its package for each connection.
    """
    if find_spec("redis.driver_info") is None:  # before redis-py 7.2
        return {}
    driver: Any = import_module("redis.driver_info")
    return {"driver_info": driver.DriverInfo()}


def connect(address: Address, seconds: float = ANSWER_SECONDS, key: str = RUNS) -> redis.Redis:
    """Return a client of a server.

    Args:
        address: the server.
        seconds: timeout of an answer, unless the URL has one or the server's process is seen to
            run.
        key: a key that it has; in a Redis Cluster the client is one of the node that has it, and
            can use keys with the same hash tag only.

    Raises:
        OptionError: see `Address.settings`.
    """
    settings = address.settings()
    kind = settings.pop("connection_class", Connection)
    given = {"socket_connect_timeout": seconds, "socket_timeout": seconds, **settings, **_driver()}
    primary = primary_of(address, key)
    if primary is not None:
        given["primary"] = primary
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
    return retry_of(client).broken


class Clients(ExitStack):
    """The clients of a server's keys: one for all, or in a Redis Cluster one for each key.

    Args:
        address: the server.
    """

    def __init__(self, address: Address) -> None:
        super().__init__()
        self._address = address
        self._clients: dict[str, redis.Redis] = {}

    def of(self, key: str) -> redis.Redis:
        """Return the client for a key and all with the same hash tag."""
        place = key if self._address.nodes else ""
        if place not in self._clients:
            self._clients[place] = self.enter_context(connect(self._address, key=key))
        return self._clients[place]
