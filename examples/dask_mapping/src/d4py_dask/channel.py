"""`Channel`: joins the thread of an instance and the coroutines that Dask calls.

Each direction holds few batches, so a sender waits for a slow receiver, on both sides.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from threading import Condition
from typing import TypeVar

from d4py_dask.limits import DaskLimits
from d4py_dask.messages import Message

_Answer = TypeVar("_Answer")
#: Input, or None for calls of a root, and the pickled items; None instead of both at the end.
Batch = tuple[str | None, bytes] | None


class StoppedError(Exception):
    """The run has ended for a reason that is reported elsewhere."""


class Channel:
    """Batches on their way to an instance, and messages on their way to the driver.

    `get`, `put` and `stop` are called by threads; `add` and `take` are called by one event loop.

    Args:
        limits: how much each direction holds.
    """

    def __init__(self, limits: DaskLimits) -> None:
        self._limits = limits
        self._batches: list[Batch] = []
        self._messages: list[Message] = []
        self._changed = Condition()
        self._stopped = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._has_room, self._has_messages = asyncio.Event(), asyncio.Event()

    # The side of the thread.

    def get(self, seconds: float | None) -> list[Batch]:
        """Take all batches; wait while there is none.

        Args:
            seconds: how long to wait; None waits as long as it takes.

        Raises:
            StoppedError: the run has ended.
            TimeoutError: there was none in that time.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: self._stopped or self._batches, seconds):
                raise TimeoutError
            self._check()
            taken, self._batches = self._batches, []
        self._wake(self._has_room)
        return taken

    def put(self, message: Message) -> None:
        """Add a message for the driver; wait while there are too many.

        Raises:
            StoppedError: the run has ended.
        """
        with self._changed:
            self._changed.wait_for(
                lambda: self._stopped or len(self._messages) < self._limits.sent_batches
            )
            self._check()
            self._messages.append(message)
        self._wake(self._has_messages)

    def stop(self) -> None:
        """Have the thread end at its next `get` or `put`."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def _check(self) -> None:
        if self._stopped:
            raise StoppedError

    def _wake(self, event: asyncio.Event) -> None:
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(event.set)

    # The side of the event loop.

    async def add(self, batches: list[Batch]) -> bool:
        """Add batches for the thread once it has few; return False if it had many all the time."""

        def attempt() -> bool:
            if len(self._batches) >= self._limits.received_batches:
                return False
            self._batches += batches
            self._changed.notify_all()
            return True

        return await self._wait(self._has_room, attempt)

    async def take(self) -> list[Message]:
        """Take all messages once there are some; return an empty list if none came in time."""

        def attempt() -> list[Message]:
            taken, self._messages = self._messages, []
            self._changed.notify_all()
            return taken

        return await self._wait(self._has_messages, attempt)

    async def _wait(self, changed: asyncio.Event, attempt: Callable[[], _Answer]) -> _Answer:
        """Return what `attempt` returns, as soon as that is true, or after `poll_seconds`."""
        self._loop = asyncio.get_running_loop()
        until = self._loop.time() + self._limits.poll_seconds
        while True:
            changed.clear()
            with self._changed:
                answer = attempt()
            if answer:
                return answer
            try:
                await asyncio.wait_for(changed.wait(), until - self._loop.time())
            except TimeoutError:
                return answer
