"""`RemoteInstance`: the driver's side of one instance.

One coroutine sends the instance what waits for it, another takes what it has written and passes it
on.  Both wait: the first for room in the instance, the second for room at the receivers.
"""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from itertools import islice
from time import perf_counter
from typing import Any

from distributed import Client

from d4py_dask.channel import Batch
from d4py_dask.instance import CODEC, Instance, InstanceOptions
from d4py_dask.messages import (
    Ended,
    Items,
    Logged,
    Message,
    Paused,
    Reported,
    Results,
    Skipped,
)
from d4py_dask.state import RunState
from dispel4py.mapping import InstanceStats, WorkerLostError, show_log


class RemoteInstance:
    """The driver's side of an instance.

    Args:
        state: what the instances of the run share.
        pe: number of the PE.
        instance: number of the instance.
        rank: number among all instances.

    Attributes:
        pe: number of the PE.
        stats: its statistics so far.
    """

    def __init__(self, state: RunState, pe: int, instance: int, rank: int) -> None:
        self.pe = pe
        self.stats: list[InstanceStats] = []
        self._state = state
        self._inbox = state.inboxes[pe, instance]
        self._planned = state.plan.pes[pe]
        self._instance = instance
        self._rank = rank
        self._actor: Any = None
        self._token, self._pid = "", 0
        self._has_ended = False

    async def create(self, client: Client) -> None:
        """Create the actor; Dask chooses the worker with the fewest."""
        state, planned = self._state, self._planned
        # Kept, because an actor ends with the last reference to its future.
        self._future = client.submit(
            *(Instance, state.limits),
            actor=True,
            pure=False,
            key=f"{planned.id}-{self._instance}-{state.id}",  # as the dashboard shows it
        )
        options = InstanceOptions(
            state.bundle.subset([planned.index]),
            *(planned.index, self._instance, self._rank),
            skips=state.options.on_error == "skip",
            share_items=state.options.share_items,
            is_observed=state.events.is_observed,
        )
        try:
            self._actor = await self._future
            self._token, self._pid = await self._actor.begin(options)
        except Exception as error:
            raise self._lost() from error

    async def work(self, calls: Iterator[dict[str, Any]] | None) -> None:
        """Run the instance from its first item to its last.

        Args:
            calls: what a root is called with; None for any other PE.
        """
        batches = self._received() if calls is None else self._called(calls)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._feed(batches))
            group.create_task(self._take())

    async def stop(self) -> None:
        """Stop the instance, if it has not ended."""
        if self._actor is not None and not self._has_ended:
            with suppress(Exception):  # its worker is lost
                await self._actor.stop()

    # What goes to the instance.

    async def _feed(self, batches: AsyncIterator[list[Batch]]) -> None:
        async for some in batches:
            await self._add(some)
        await self._add([None])

    async def _received(self) -> AsyncIterator[list[Batch]]:
        """Yield the batches of the instances upstream, until all of these have ended."""
        pes = self._state.plan.pes
        senders = sum(pes[pe].instances for pe in self._planned.upstream)
        while senders:
            batches = [await self._inbox.get()]
            while not self._inbox.empty():
                batches.append(self._inbox.get_nowait())
            senders -= batches.count(None)
            received: list[Batch] = [batch for batch in batches if batch is not None]
            if received:
                yield received

    async def _called(self, calls: Iterator[dict[str, Any]]) -> AsyncIterator[list[Batch]]:
        """Yield the calls of a root in batches that take about `root_seconds` each."""
        limits = self._state.limits
        size = 1
        # By a thread, because the user's iterator may wait for data.
        while batch := await asyncio.to_thread(_take, calls, size):
            started_at = perf_counter()
            yield [(None, CODEC.dumps_calls(batch, batch))]
            seconds = perf_counter() - started_at
            if seconds < limits.root_seconds / 2:
                size = min(2 * size, limits.root_calls)
            elif seconds > 2 * limits.root_seconds:
                size = max(size // 2, 1)

    async def _add(self, batches: list[Batch]) -> None:
        while not await self._call("add", batches):
            pass  # there was no room yet

    # What comes from it.

    async def _take(self) -> None:
        while not self._has_ended:
            await self._state.until_continued(self._planned.index)
            messages, self.stats = await self._call("take")
            for message in messages:
                await self._deliver(message)
        for inbox in self._inboxes_of_receivers():
            await inbox.put(None)

    async def _deliver(self, message: Message) -> None:
        state = self._state
        match message:
            case Items(pe, instance, input_name, data):
                await state.inboxes[pe, instance].put((input_name, data))
            case Results(pe_id, output, data):
                state.results.add(pe_id, output, CODEC.loads(data))
            case Skipped(data):
                state.failures.add([CODEC.loads(data)])
            case Reported(report):
                state.events.report(report)
            case Logged():
                show_log(*message)
            case Paused(roots):
                await state.pause((self._planned.index, self._instance), roots)
            case Ended(error):
                self._has_ended = True
                if error is not None:
                    raise pickle.loads(error)

    def _inboxes_of_receivers(self) -> list[asyncio.Queue[Batch]]:
        pes = {route.destination for routes in self._planned.routes.values() for route in routes}
        return [inbox for (pe, _), inbox in self._state.inboxes.items() if pe in pes]

    async def _call(self, method: str, *arguments: Any) -> Any:
        try:
            answer = await getattr(self._actor, method)(self._token, *arguments)
        except Exception as error:  # of Dask, of many kinds: methods of `Instance` raise none
            raise self._lost() from error
        if answer is None:  # made anew
            raise self._lost()
        return answer

    def _lost(self) -> WorkerLostError:
        ran = f"{self._planned.id} (instance {self._instance})"
        return WorkerLostError(self._rank, self._pid, "Dask has lost it", ran)


def _take(calls: Iterator[dict[str, Any]], size: int) -> list[dict[str, Any]]:
    return list(islice(calls, size))
