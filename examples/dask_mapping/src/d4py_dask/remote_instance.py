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
from typing import TYPE_CHECKING, Any

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
from dispel4py.mapping import InstanceStats, WorkerLostError, show_log

if TYPE_CHECKING:
    from d4py_dask.run import DaskRun


class RemoteInstance:
    """The driver's side of an instance.

    Args:
        run: the run.
        pe: number of the PE.
        instance: number of the instance.
        rank: number among all instances.

    Attributes:
        inbox: batches for the instance, and a None from each instance upstream that has ended.
        stats: its statistics so far.
    """

    def __init__(self, run: DaskRun, pe: int, instance: int, rank: int) -> None:
        self.inbox: asyncio.Queue[Batch] = asyncio.Queue(run.limits.waiting_batches)
        self.stats: list[InstanceStats] = []
        self._run = run
        self._planned = run.plan.pes[pe]
        self._instance = instance
        self._rank = rank
        self._actor: Any = None
        self._token, self._pid = "", 0
        self._has_ended = False

    async def create(self, client: Client) -> None:
        """Create the actor; Dask chooses the worker with the fewest."""
        run, planned = self._run, self._planned
        # Kept, because an actor ends with the last reference to its future.
        self._future = client.submit(
            *(Instance, run.limits),
            actor=True,
            pure=False,
            key=f"{planned.id}-{self._instance}-{run.id}",  # as the dashboard shows it
        )
        options = InstanceOptions(
            run.bundle.subset([planned.index]),
            *(planned.index, self._instance, self._rank),
            skips=run.options.on_error == "skip",
            share_items=run.options.share_items,
            is_observed=run.events.is_observed,
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
        pes = self._run.plan.pes
        senders = sum(pes[pe].instances for pe in self._planned.upstream)
        while senders:
            batches = [await self.inbox.get()]
            while not self.inbox.empty():
                batches.append(self.inbox.get_nowait())
            senders -= batches.count(None)
            received: list[Batch] = [batch for batch in batches if batch is not None]
            if received:
                yield received

    async def _called(self, calls: Iterator[dict[str, Any]]) -> AsyncIterator[list[Batch]]:
        """Yield the calls of a root in batches that take about `root_seconds` each."""
        limits = self._run.limits
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
            await self._run.until_continued(self._planned.index)
            messages, self.stats = await self._call("take")
            for message in messages:
                await self._deliver(message)
        for receiver in self._receivers():
            await receiver.inbox.put(None)

    async def _deliver(self, message: Message) -> None:
        run = self._run
        match message:
            case Items(pe, instance, input_name, data):
                await run.instances[pe, instance].inbox.put((input_name, data))
            case Results(pe_id, output, data):
                run.results.add(pe_id, output, CODEC.loads(data))
            case Skipped(data):
                run.failures.add([CODEC.loads(data)])
            case Reported(report):
                run.events.report(report)
            case Logged():
                show_log(*message)
            case Paused(roots):
                await run.pause((self._planned.index, self._instance), roots)
            case Ended(error):
                self._has_ended = True
                if error is not None:
                    raise pickle.loads(error)

    def _receivers(self) -> list[RemoteInstance]:
        plan = self._run.plan
        pes = {route.destination for routes in self._planned.routes.values() for route in routes}
        return [self._run.instances[pe, i] for pe in pes for i in range(plan.pes[pe].instances)]

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
