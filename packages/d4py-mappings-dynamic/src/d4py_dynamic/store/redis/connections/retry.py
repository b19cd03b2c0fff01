"""Retries of commands and connections until a deadline.

redis-py's `Retry` counts tries.  A try takes no time where a server refuses connections and seconds
where it does not answer, and a command's tries each contain those of its connection; so a number of
tries says nothing about the time.  Here the deadline is the same for both.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from time import monotonic, sleep
from typing import Any

import redis
from redis.backoff import ExponentialBackoff
from redis.retry import Retry

#: Shortest and longest pause between two tries, in seconds.
_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.01, 0.25
#: Failures after which pauses are longest; redis-py's backoff overflows after some hundred more.
_LONGEST_PAUSE_AFTER = 10


class RetryUntilDeadline(Retry):
    """Retries until some seconds after the first failure.

    Args:
        seconds: how many; 0 tries once.
        process: id of the server's process, if it is on this machine.

    Attributes:
        seconds: the same.
        process: the same.
        broken: number of connections that have broken so far.
    """

    __hash__ = Retry.__hash__

    def __init__(self, seconds: float, process: int | None = None) -> None:
        backoff = ExponentialBackoff(_LONGEST_PAUSE_SECONDS, _PAUSE_SECONDS / 2)
        super().__init__(backoff, -1, (redis.ConnectionError, redis.TimeoutError))
        self._pauses = backoff
        self.seconds = seconds
        self._call = _Call()
        self.process = process
        self.broken = 0

    def __deepcopy__(self, memo: Any) -> RetryUntilDeadline:
        """Return the same object, which all connections of a client share."""
        return self

    @property
    def is_retrying(self) -> bool:
        """Whether the call that this thread makes has failed before, which was counted."""
        return self._call.deadline is not None

    def limit(self, seconds: float) -> float:
        """Return how many of these seconds a try may take: a retry ends at the deadline."""
        deadline = self._call.deadline
        if deadline is None:
            return seconds
        return max(_PAUSE_SECONDS, min(seconds, deadline - monotonic()))

    def call_with_retry(
        self,
        do: Callable[[], Any],
        fail: Callable[..., Any],
        is_retryable: Callable[[Exception], bool] | None = None,
        with_failure_count: bool = False,
    ) -> Any:
        """See `Retry`."""
        call = self._call
        if call.is_active:  # a command makes its connection in here; the command is retried
            return do()
        failures = 0
        call.is_active = True
        try:
            while True:
                try:
                    return do()
                except self._supported_errors as error:
                    self.broken += 1
                    failures += 1
                    fail(*((error, failures) if with_failure_count else (error,)))
                    if call.deadline is None:
                        call.deadline = monotonic() + self.seconds
                    if not _may_pass(error, is_retryable) or monotonic() >= call.deadline:
                        raise
                sleep(self._pauses.compute(min(failures, _LONGEST_PAUSE_AFTER)))
        finally:
            call.is_active = False
            call.deadline = None


def retry_of(client: redis.Redis) -> RetryUntilDeadline:
    """Return the retries that all connections of a client share."""
    retry = client.connection_pool.connection_kwargs["retry"]
    assert isinstance(retry, RetryUntilDeadline)
    return retry


class BreakLimit:
    """Bounds what is repeated because a connection breaks, though each is made again in time.

    Breaks with more than `seconds` between them have nothing to do with each other.

    Args:
        seconds: how long it may go on after the first break.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._first: float | None = None
        self._last = 0.0

    def note_success(self) -> None:
        """Note that a repetition has succeeded."""
        self._first = None

    def note_break(self) -> None:
        """Note that a connection has broken.

        Raises:
            redis.ConnectionError: it is too long since the first break.
        """
        now = monotonic()
        if self._first is None or now - self._last > self._seconds:
            self._first = now
        self._last = now
        if now - self._first >= self._seconds:
            raise redis.ConnectionError(
                f"its connections were made again, and broken again, for {self._seconds:g} seconds;"
                " look for a proxy or firewall that ends them, or repeat for longer: --reconnect"
                " SECONDS"
            )


def _may_pass(error: Exception, is_retryable: Callable[[Exception], bool] | None) -> bool:
    """Return whether a later try may succeed."""
    if isinstance(error, redis.AuthenticationError):
        return False
    return is_retryable is None or is_retryable(error)


class _Call(threading.local):
    """The call that a thread is making.

    Attributes:
        is_active: whether there is one.
        deadline: end of the retries on the monotonic clock; None before the first failure.
    """

    is_active = False
    deadline: float | None = None
