"""Connections to a Redis server: patient ones, whose errors say where and what would help.

A connection that breaks is made anew, and what was asked is asked again, until the patience is
over.  So whatever is sent must be right if it is done twice; see `Once`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from time import monotonic, sleep
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from dispel4py.errors import ServiceError

#: Seconds to wait for a server's answer before it counts as gone.
ANSWER_SECONDS = 3.0
#: Seconds to try to reach a server again that has gone away, unless told.
RECONNECT_SECONDS = 2.0
#: Shortest and longest pause between two tries, in seconds.
_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.01, 0.25


@dataclass(frozen=True)
class Address:
    """Where a server is.

    Attributes:
        url: as `redis.from_url` takes it.
        embedded: the server was started for this run.
        patience: for how many seconds to try to reach it again when it has gone away.
    """

    url: str
    embedded: bool = False
    patience: float = 0.0

    def __str__(self) -> str:
        """The address without user, password and other settings."""
        scheme, separator, rest = self.url.partition("?")[0].partition("://")
        return scheme + separator + rest.rpartition("@")[2]


class Patience(Retry):
    """Tries again until some seconds are over.

    Args:
        seconds: how many; 0 tries once.

    Attributes:
        broken: how many connections have broken so far.
    """

    __hash__ = Retry.__hash__

    def __init__(self, seconds: float) -> None:
        super().__init__(NoBackoff(), -1, (redis.ConnectionError, redis.TimeoutError))
        self._seconds = seconds
        self._within = threading.local()
        self.broken = 0

    def __deepcopy__(self, memo: Any) -> Patience:
        """The same one, that all connections of a client share."""
        return self

    def call_with_retry(
        self,
        do: Callable[[], Any],
        fail: Callable[..., Any],
        is_retryable: Callable[[Exception], bool] | None = None,
        with_failure_count: bool = False,
    ) -> Any:
        """See `Retry`."""
        # A command makes its connection in here too; who asked first is the one who waits.
        is_nested = getattr(self._within, "a_call", False)
        until = monotonic() + (0.0 if is_nested else self._seconds)
        pause, failures = _PAUSE_SECONDS, 0
        while True:
            try:
                self._within.a_call = True
                return do()
            except self._supported_errors as error:
                self.broken += 1
                failures += 1
                fail(*((error, failures) if with_failure_count else (error,)))
                is_final = isinstance(error, redis.AuthenticationError) or (
                    is_retryable is not None and not is_retryable(error)
                )
                if is_final or monotonic() >= until:
                    raise
            finally:
                self._within.a_call = is_nested
            sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)


def connect(address: Address, seconds: float = ANSWER_SECONDS) -> redis.Redis:
    """A client that gets each answer within some seconds, or fails when its patience is over."""
    client: redis.Redis = redis.from_url(
        address.url,
        socket_connect_timeout=seconds,
        socket_timeout=seconds,
        retry=Patience(address.patience),
    )
    return client


def broken(client: redis.Redis) -> int:
    """How many connections of a client of ours have broken so far."""
    patience = client.connection_pool.connection_kwargs["retry"]
    assert isinstance(patience, Patience)
    return patience.broken


def load_script(name: str) -> str:
    """Source of a Lua script of this package."""
    return files("d4py_dynamic").joinpath("lua", f"{name}.lua").read_text(encoding="utf-8")


class Once:
    """Calls scripts that change something: each call comes to pass once, however often it is sent.

    The server keeps the number and the answer of the last call of each caller (`once.lua`): the
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

    def __call__(self, name: str, *arguments: Any) -> Any:
        """The answer of a script of this package.

        Raises:
            redis.RedisError: it did not come to pass, or nobody knows.
        """
        script = self._scripts.get(name)
        if script is None:
            source = load_script("once") + load_script(name)
            script = self._scripts[name] = self._client.register_script(source)
        self._number += 1
        try:
            return script(keys=[self._prefix], args=[self._caller, self._number, *arguments])
        except redis.ResponseError:
            self._number -= 1  # it was refused
            raise


@contextmanager
def service_errors(address: Address) -> Iterator[None]:
    """Turn redis-py's exceptions into `ServiceError`, with the address and what would help."""
    try:
        yield
    except redis.AuthenticationError as error:
        raise ServiceError(
            f"the Redis server at {address} refused the user name or password ({error});"
            " give them in the URL: redis://USER:PASSWORD@HOST:PORT"
        ) from error
    except (redis.ConnectionError, redis.TimeoutError) as error:
        raise ServiceError(f"the Redis server at {address} does not answer: {error}") from error
    except redis.RedisError as error:
        text = str(error)
        kind = RunGoneError if _is_over(text) else ServiceError
        raise kind(f"the Redis server at {address} {_explain(text)}") from error


class RunGoneError(ServiceError):
    """The run has ended as far as this worker is concerned, or somebody deleted its keys."""


def _is_over(text: str) -> bool:
    codes = ("LOST", "GONE", "NOGROUP", "UNBLOCKED")
    return text.startswith(codes) or "no such key" in text.lower()


def _explain(text: str) -> str:
    if "OOM" in text or "maxmemory" in text:
        return f"is out of memory ({text}); raise its maxmemory, or send smaller items"
    if text.startswith("LOST"):
        return f"gave a task of this worker to another one ({text})"
    if text.startswith("BACK"):
        return (
            f"has forgotten what it had confirmed ({text}): it was restarted from an older state;"
            " a server that may be restarted during a run needs 'appendfsync always'"
        )
    if _is_over(text):
        return f"has lost keys of this run: somebody deleted or evicted them ({text})"
    return f"refused a command: {text}"
