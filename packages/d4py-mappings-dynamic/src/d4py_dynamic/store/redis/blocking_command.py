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

from d4py_dynamic.store.redis.retry import RetryUntilDeadline

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
        self._connection: Any = None
        self._names: list[Any] = []
        self._answer_at = 0.0

    @property
    def is_sent(self) -> bool:
        """Whether its answer is still to be read."""
        return self._connection is not None

    def send(self, commands: Sequence[Command], seconds: float) -> None:
        """Send commands in one packet.

        Args:
            commands: the commands; they must be right if they are processed twice.
            seconds: how long the server holds its answer back at most.

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
        self._answer_at = monotonic() + seconds + _LATE_SECONDS

    def wait(self, seconds: float) -> bool:
        """Wait for the answer; return whether it has come, or should have.

        Args:
            seconds: how long to wait at most.
        """
        left = self._answer_at - monotonic()
        if left > 0:
            # redis-py has no other way to wait without a timeout that counts as an error.
            return bool(wait([self._connection._sock], min(seconds, left))) or seconds >= left
        return True

    def replies(self) -> list[Any] | None:
        """Read the replies, errors among them; None if the connection has broken meanwhile."""
        connection = self._connection
        try:
            replies = [self._reply(name) for name in self._names]
        except (redis.ConnectionError, redis.TimeoutError):
            retry = connection.retry
            assert isinstance(retry, RetryUntilDeadline)
            retry.broken += 1
            self.drop()
            return None
        self._release()
        return replies

    def drop(self) -> None:
        """Forget the command, together with its connection, if it is outstanding."""
        if self._connection is not None:
            self._connection.disconnect()
            self._release()

    def _release(self) -> None:
        connection, self._connection = self._connection, None
        self._client.connection_pool.release(connection)

    def _reply(self, name: Any) -> Any:
        try:
            parse: Any = self._client.parse_response  # untyped in redis-py
            return parse(self._connection, name)
        except redis.ResponseError as error:
            return error
