"""Commands that a server answers when something has come, waited for by the caller's own clock.

A command is sent once and may be outstanding for long.  Its caller looks after other things
meanwhile, and needs no further commands to find out whether something has come.
"""

from __future__ import annotations

from collections.abc import Sequence
from multiprocessing.connection import wait
from time import monotonic
from typing import Any

import redis

from d4py_dynamic.store.redis.connections.retry import BreakLimit, retry_of

#: A command: its name and arguments.
Command = tuple[Any, ...]

#: Seconds after the end of a wait by which an idle server has answered: it looks ten times a
#: second whether waits are over.
_LATE_SECONDS = 0.2


class BlockingCommand:
    """A blocking command, with others in front of it and behind it in the same packet.

    Args:
        client: sends it, on a connection that nothing else uses meanwhile.
    """

    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        self._retry = retry_of(client)
        self._breaks = BreakLimit(self._retry.seconds)
        self._connection: Any = None
        self._names: list[Any] = []
        self._in_front = 0
        self._replies: list[Any] = []
        self._error: redis.RedisError | None = None
        self._answer_at = 0.0

    @property
    def is_sent(self) -> bool:
        """Whether its answer is still to be read."""
        return self._connection is not None

    @property
    def is_accepted(self) -> bool:
        """Whether the server has answered what precedes the blocking command."""
        return len(self._replies) == self._in_front

    def send(self, commands: Sequence[Command], seconds: float, *, in_front: int = 0) -> None:
        """Send commands in one packet.

        Args:
            commands: the commands; they must be right if they are processed twice.
            seconds: how long the server holds its answer back at most.
            in_front: how many of them are answered at once, since they precede the blocking one;
                when one of these is refused, `wait` and `replies` raise its error.

        Raises:
            redis.RedisError: the server was not reached until the deadline of retries.
        """
        connection: Any = self._client.connection_pool.get_connection()
        self._connection = connection
        packed = connection.pack_commands(commands)
        try:
            connection.retry.call_with_retry(
                lambda: connection.send_packed_command(packed),
                lambda error: connection.disconnect(),
            )
        except redis.RedisError:
            self._release()
            raise
        self._names = [command[0] for command in commands]
        self._in_front, self._replies, self._error = in_front, [], None
        self._answer_at = monotonic() + seconds + _LATE_SECONDS

    def wait(self, seconds: float) -> bool:
        """Wait for the answer; return whether it has come, or should have.

        Args:
            seconds: how long to wait at most.
        """
        until = min(monotonic() + seconds, self._answer_at)
        while self._can_read(until - monotonic()):
            if self.is_accepted or not self._read_next():
                return True
        return monotonic() >= self._answer_at

    def replies(self) -> list[Any] | None:
        """Read the replies, errors among them; None if the connection has broken meanwhile.

        Raises:
            redis.ConnectionError: so did those of the commands before, for too long.
        """
        while len(self._replies) < len(self._names):
            if not self._read_next():
                self._retry.broken += 1
                self.drop()
                self._breaks.note_break()
                return None
        self._release()
        return self._replies

    def drop(self) -> None:
        """Forget the command, together with its connection, if it is outstanding."""
        if self._connection is not None:
            self._connection.disconnect()
            self._release()

    def _release(self) -> None:
        connection, self._connection = self._connection, None
        self._client.connection_pool.release(connection)

    def _can_read(self, seconds: float) -> bool:
        """Wait until a reply, or the end of the connection, can be read."""
        # redis-py has no way to wait without a timeout that counts as an error, and what it has
        # read already the socket does not show.
        sock = self._connection._sock
        if self._error is not None or sock is None:
            return True
        try:
            is_there = self._connection.can_read(0)
        except redis.ConnectionError as error:
            self._error = error
            return True
        return is_there or (seconds > 0 and bool(wait([sock], seconds)))

    def _read_next(self) -> bool:
        """Read the next reply; return False if the connection has broken."""
        parse: Any = self._client.parse_response  # untyped in redis-py
        try:
            if self._error is None:
                name = self._names[len(self._replies)]
                self._replies.append(parse(self._connection, name))
                self._breaks.note_success()
        except redis.ResponseError as error:
            if len(self._replies) < self._in_front:
                self.drop()
                raise
            self._replies.append(error)
        except (redis.ConnectionError, redis.TimeoutError) as error:
            self._error = error
        return self._error is None
