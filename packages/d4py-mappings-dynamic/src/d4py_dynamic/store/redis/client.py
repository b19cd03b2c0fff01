"""Connections to a Redis server that are made anew when they break.

What was asked is asked again then, until the patience is over.  So whatever is sent must be right
if it is done twice; see `IdempotentScripts`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import cache
from importlib.resources import files
from socket import socket
from time import monotonic, sleep
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.connection import Connection
from redis.retry import Retry

from d4py_dynamic.store.redis.address import Address
from d4py_dynamic.store.redis.waiting_socket import WaitingSocket

#: Seconds to wait for a server's answer before it counts as gone, and how many bytes sent add one.
ANSWER_SECONDS, _BYTES_PER_SECOND = 3.0, 16 << 20
#: What is sent in no time, in bytes.
_SMALL_BYTES = 1 << 20
#: Seconds to try to reach a server again that has gone away, unless told.
RECONNECT_SECONDS = 2.0
#: Shortest and longest pause between two tries, in seconds.
_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.01, 0.25


class RetryUntilDeadline(Retry):
    """Tries again until some seconds after the first failure are over.

    Args:
        seconds: how many; 0 tries once.
        process: number of the server's process, if it is one of this machine.

    Attributes:
        process: the same.
        broken: how many connections have broken so far.
    """

    __hash__ = Retry.__hash__

    def __init__(self, seconds: float, process: int | None = None) -> None:
        super().__init__(NoBackoff(), -1, (redis.ConnectionError, redis.TimeoutError))
        self._seconds = seconds
        self._call = _Call()
        self.process = process
        self.broken = 0

    def __deepcopy__(self, memo: Any) -> RetryUntilDeadline:
        """The same one, that all connections of a client share."""
        return self

    def limit(self, seconds: float) -> float:
        """Return how many of these seconds a try may take: in a further one, what is left."""
        until = self._call.until
        return seconds if until is None else max(_PAUSE_SECONDS, min(seconds, until - monotonic()))

    def call_with_retry(
        self,
        do: Callable[[], Any],
        fail: Callable[..., Any],
        is_retryable: Callable[[Exception], bool] | None = None,
        with_failure_count: bool = False,
    ) -> Any:
        """See `Retry`."""
        call = self._call
        is_nested = call.depth > 0  # a command makes its connection in here too, and waits for both
        pause, failures = _PAUSE_SECONDS, 0
        call.depth += 1
        try:
            while True:
                try:
                    return do()
                except self._supported_errors as error:
                    self.broken += 1
                    failures += 1
                    fail(*((error, failures) if with_failure_count else (error,)))
                    if not is_nested and call.until is None:
                        call.until = monotonic() + self._seconds
                    if (
                        is_nested
                        or isinstance(error, redis.AuthenticationError)
                        or (is_retryable is not None and not is_retryable(error))
                        or monotonic() >= (call.until or 0.0)
                    ):
                        raise
                sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
        finally:
            call.depth -= 1
            if not is_nested:
                call.until = None


class _Call(threading.local):
    """The call that a thread is making.

    Attributes:
        depth: how many calls are nested.
        until: when patience is over, on the monotonic clock; None before the first failure.
    """

    depth = 0
    until: float | None = None


class _TimedConnection:
    """Gives each answer its time: more where much was sent, and no more than patience has left.

    For kinds of the library's `AbstractConnection` to derive from as well.
    """

    _sock: Any
    retry: RetryUntilDeadline
    connect: Callable[[], None]
    socket_timeout: float
    socket_connect_timeout: float

    def _connect(self) -> Any:
        parent: Any = super()
        seconds = self.socket_connect_timeout
        self.socket_connect_timeout = self.retry.limit(seconds)
        try:
            made = parent._connect()
            if self.retry.process is None or type(made) is not socket:  # such as one with TLS
                return made
            return WaitingSocket.made_of(made, self.retry.process)
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
        if self._sock.gettimeout() != seconds:  # to set it is a system call
            self._sock.settimeout(seconds)
        parent.send_packed_command(command, check_health)


@cache
def _timed(kind: type) -> type:
    """Return the same kind of connection, with an answer's time; see `_TimedConnection`."""
    return type(f"Timed{kind.__name__}", (_TimedConnection, kind), {})


def connect(address: Address, seconds: float = ANSWER_SECONDS) -> redis.Redis:
    """Return a client that gets each answer in some seconds, or fails when its patience is over.

    Args:
        address: the server.
        seconds: how many, unless its URL says so, or its process is seen to run.

    Raises:
        OptionError: see `Address.settings`.
    """
    settings = address.settings()
    kind = settings.pop("connection_class", Connection)
    given = {"socket_connect_timeout": seconds, "socket_timeout": seconds, **settings}
    # All that the URL says is in `given`; what a URL says itself would come before the rest.
    client: redis.Redis = redis.from_url(
        "redis://",
        connection_class=_timed(kind),
        retry=RetryUntilDeadline(address.patience, address.process),
        **given,
    )
    return client


def broken(client: redis.Redis) -> int:
    """How many connections of a client of ours have broken so far."""
    patience = client.connection_pool.connection_kwargs["retry"]
    assert isinstance(patience, RetryUntilDeadline)
    return patience.broken


def load_script(name: str) -> str:
    """Source of a Lua script of this package."""
    return (
        files("d4py_dynamic.store.redis").joinpath("lua", f"{name}.lua").read_text(encoding="utf-8")
    )


class IdempotentScripts:
    """Calls scripts that change something: each call comes to pass once, however often it is sent.

    The server keeps the number and the answer of each caller's last call (`idempotent.lua`): the
    duplicate suppression of Birrell and Nelson, *Implementing remote procedure calls*, 1984.

    Args:
        client: a client.
        prefix: prefix of the run's keys.
        caller: who calls; no two have the same name in a run.
    """

    def __init__(self, client: redis.Redis, prefix: str, caller: str) -> None:
        self._client = client
        self._prefix = prefix
        self._caller = caller
        self._number = 0
        self._scripts: dict[str, Any] = {}
        self._lock = threading.Lock()

    def __call__(self, name: str, *arguments: Any) -> Any:
        """The answer of a script of this package.

        Raises:
            redis.RedisError: it did not come to pass, or nobody knows.
        """
        with self._lock:
            script = self._scripts.get(name)
            if script is None:
                source = load_script("idempotent") + load_script(name)
                script = self._scripts[name] = self._client.register_script(source)
            self._number += 1
            try:
                return script(keys=[self._prefix], args=[self._caller, self._number, *arguments])
            except redis.ResponseError:
                self._number -= 1  # it was refused
                raise
