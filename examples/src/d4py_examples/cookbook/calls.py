"""PEs that call a service: not too often, once more after an error, many at a time.

Where a worker is lost, calls are made again, so a service must bear that; `item_ids` gives a PE an
id that it can hand over.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from dispel4py import IterativePE


class RateLimit(IterativePE):
    """Hands items on, no more than some per second in the whole run.

    There is one instance.  It waits between items, and meanwhile its worker does nothing else.

    Args:
        per_second: the most items per second.
    """

    single = True

    def __init__(self, per_second: float) -> None:
        super().__init__()
        self.interval = 1.0 / per_second
        self.next_time = 0.0

    def _process(self, item: Any) -> Any:
        # The time may come from a worker of another host, with another clock: never wait for longer
        # than the interval.
        time.sleep(min(max(self.next_time - time.monotonic(), 0.0), self.interval))
        self.next_time = time.monotonic() + self.interval
        return item


@dataclass(frozen=True)
class RetryLimits:
    """How often and when a call is made again.

    Attributes:
        attempts: the most calls for one item.
        first_seconds: longest wait after the first failed call; it doubles with each.
        longest_seconds: longest wait of all.
        errors: the exceptions after which a call is made again; others are raised at once.
    """

    attempts: int = 5
    first_seconds: float = 0.5
    longest_seconds: float = 30.0
    errors: tuple[type[Exception], ...] = (OSError,)


class Retry(IterativePE):
    """Sends what a function returns for an item, and calls it again if it fails.

    Waits are drawn at random from 0 to a limit that doubles (full jitter: M. Brooker, *Exponential
    backoff and jitter*, AWS 2015), so that PEs which failed together do not call together again.
    The last error is raised.

    Args:
        function: called with the item; defined in a module, so that workers can import it.
        limits: how often and when.
    """

    def __init__(self, function: Callable[[Any], Any], limits: RetryLimits | None = None) -> None:
        super().__init__()
        self.function = function
        self.limits = limits or RetryLimits()

    def _process(self, item: Any) -> Any:
        from tenacity import (
            Retrying,
            retry_if_exception_type,
            stop_after_attempt,
            wait_random_exponential,
        )

        limits = self.limits
        retrying = Retrying(
            stop=stop_after_attempt(limits.attempts),
            wait=wait_random_exponential(limits.first_seconds, max=limits.longest_seconds),
            retry=retry_if_exception_type(limits.errors),
            reraise=True,
        )
        return retrying(self.function, item)


class AsyncCalls(IterativePE):
    """Sends what a coroutine function returns for each item; many calls wait at the same time.

    Args:
        function: called with the item, and awaited.
        at_once: the most calls that wait at a time, in each instance.
        batch_seconds: how long an item may wait for others to be called with.
    """

    def __init__(
        self,
        function: Callable[[Any], Awaitable[Any]],
        at_once: int = 20,
        batch_seconds: float = 0.1,
    ) -> None:
        super().__init__()
        self.function = function
        self.at_once = at_once
        self.batch_seconds = batch_seconds

    def _process_batch(self, items: Sequence[Any]) -> list[Any]:
        # In a thread, as the thread of a notebook has a running event loop already.
        with ThreadPoolExecutor(1) as executor:
            return executor.submit(asyncio.run, self._call_all(items)).result()

    async def _call_all(self, items: Sequence[Any]) -> list[Any]:
        free = asyncio.Semaphore(self.at_once)

        async def call(item: Any) -> Any:
            async with free:
                return await self.function(item)

        return await asyncio.gather(*map(call, items))
