"""The side of the driver: `DaskMapping` leads a run, a `Seat` looks after one instance.

Each seat is a coroutine with an inbox of a few batches.  It hands one after the other to its
instance, and what comes of it to the inboxes of others; so a fast sender waits for a slow receiver.
What a single call writes comes back as a whole, however much that is, which is why the mapping does
not declare bounded memory.
"""

from __future__ import annotations

import argparse
import asyncio
import pickle
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from itertools import islice
from time import perf_counter
from typing import Any

from distributed import Client, LocalCluster
from distributed.scheduler import KilledWorker

from d4py_dask.instance import CODEC, Instance
from dispel4py.mapping import (
    Capabilities,
    FailureCollector,
    Plan,
    ResultCollector,
    RunOptions,
    RunResult,
    RunStats,
    ServiceError,
    UnsupportedGraphError,
    WorkerLostError,
    WorkflowGraph,
    calls,
    events_of,
    make_bundle,
    make_plan,
    refusal,
    root_inputs,
    show_log,
)

#: Workers of a cluster of our own.
DEFAULT_WORKERS = 4
#: Batches that wait at an instance before whoever has another one waits too.
INBOX = 8
#: A root is called for about so long at a time.
CALL_SECONDS = 0.02
_MOST_CALLS = 1024


class DaskMapping:
    """Runs each instance as an actor on a Dask cluster."""

    name = "dask"
    capabilities = Capabilities(
        stateful=True,
        group_by=True,
        broadcast=True,
        ordered=True,
        multi_host=True,
        bounded_memory=False,
    )

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """See `dispel4py.mapping.Mapping`."""
        parser.add_argument(
            "--dask-scheduler",
            metavar="ADDRESS",
            help="of a cluster that is there; otherwise one is started for the run",
        )

    def run(self, graph: WorkflowGraph, inputs: Any, options: RunOptions) -> RunResult:
        """See `dispel4py.mapping.Mapping`."""
        plan = make_plan(graph, options)
        refused = refusal(plan, self.capabilities)
        if refused is not None:
            raise UnsupportedGraphError(f"mapping {self.name!r} cannot run this graph: {refused}")
        given = root_inputs(plan, inputs)
        run = _Run(plan, options, given)
        for root, value in given.items():
            run.seats[root, 0].calls = calls(plan.pes[root], value)
        try:
            return asyncio.run(run.run(self.name))
        except ExceptionGroup as group:  # the first one; all others were cancelled because of it
            first = group.exceptions[0]
            raise first from first.__cause__


class _Run:
    """What the seats of a run have in common."""

    def __init__(self, plan: Plan, options: RunOptions, inputs: dict[int, Any]) -> None:
        self.plan = plan
        self.inputs = inputs
        self.events = events_of(options)
        self.bundle = make_bundle(plan, CODEC, start_method="spawn")
        self.options = options
        self.results = ResultCollector(options.on_result)
        self.failures = FailureCollector(options.on_failure, plan.limits, self.events.failure)
        addresses = [(pe, i) for pe in plan.order for i in range(plan.pes[pe].instances)]
        self.seats = {address: Seat(self, *address, rank) for rank, address in enumerate(addresses)}

    async def run(self, name: str) -> RunResult:
        """Have every seat do its work."""
        started_at = perf_counter()
        stats = RunStats(name, self.options.processes or DEFAULT_WORKERS)
        result = RunResult(self.results.outputs, self.failures.kept, stats)
        async with _client(self.options) as client:
            self.events.begin(self.plan, self.inputs, result)
            async with asyncio.TaskGroup() as group:
                for seat in self.seats.values():
                    group.create_task(seat.work(client))
            for seat in self.seats.values():
                stats.instances += await seat.actor.stats()
        stats.seconds = perf_counter() - started_at
        result.failure_counts = self.failures.counts
        return result


@asynccontextmanager
async def _client(options: RunOptions) -> AsyncIterator[Client]:
    address = options.extra["dask_scheduler"]
    if address is not None:
        try:
            client = await Client(address, asynchronous=True, timeout=5)
        except OSError as error:
            raise ServiceError(f"no Dask scheduler at {address}: {error}") from error
        async with client:
            yield client
        return
    async with (
        LocalCluster(
            n_workers=options.processes or DEFAULT_WORKERS,
            threads_per_worker=1,
            asynchronous=True,
            dashboard_address=":0",
        ) as cluster,
        Client(cluster, asynchronous=True) as client,
    ):
        yield client


class Seat:
    """Looks after one instance.

    Attributes:
        calls: what a root is called with; None for any other PE.
        inbox: batches, and a None from each instance upstream that is done.
    """

    def __init__(self, run: _Run, pe: int, instance: int, rank: int) -> None:
        self.run = run
        self.pe = pe
        self.instance = instance
        self.rank = rank
        self.calls: Iterator[dict[str, Any]] | None = None
        self.inbox: asyncio.Queue[tuple[str, list[Any]] | None] = asyncio.Queue(INBOX)
        self.actor: Any = None
        self._process_id = 0
        self._asked = 0

    async def work(self, client: Client) -> None:
        """See the instance through its life."""
        options = self.run.options
        # Kept: an actor goes when nobody has its future any more.
        self._future = client.submit(
            Instance,
            self.run.bundle,
            self.pe,
            self.instance,
            self.rank,
            options.on_error,
            options.share_items,
            self.run.events.is_observed,
            actor=True,
            pure=False,
        )
        self.actor = await self._future
        self._process_id = await self.actor.process_id()
        await self._ask("start")
        if self.calls is None:
            await self._hand_on()
        else:
            await self._call_root(self.calls)
        await self._ask("finish")
        for receiver in self._receivers():
            await receiver.inbox.put(None)

    async def _hand_on(self) -> None:
        """Give the instance what comes, until all instances upstream are done."""
        pes = self.run.plan.pes
        senders = sum(pes[pe].instances for pe in pes[self.pe].upstream)
        while senders:
            messages = [await self.inbox.get()]
            while not self.inbox.empty():
                messages.append(self.inbox.get_nowait())
            senders -= messages.count(None)
            if batches := [message for message in messages if message is not None]:
                await self._ask("process", batches)

    async def _call_root(self, calls: Iterator[dict[str, Any]]) -> None:
        size = 1
        while batch := list(islice(calls, size)):
            started_at = perf_counter()
            await self._ask("call", batch)
            if perf_counter() - started_at < CALL_SECONDS:
                size = min(2 * size, _MOST_CALLS)
            else:
                size = max(size // 2, 1)

    async def _ask(self, what: str, *arguments: Any) -> None:
        """Have the instance do something, and see to what came of it."""
        try:
            answer = await self.actor.call(self._asked, what, CODEC.dumps(arguments))
        except (OSError, KilledWorker) as error:
            raise self._lost() from error
        if answer is None:
            raise self._lost()
        self._asked += 1
        raised, outcome = CODEC.loads(answer)
        if raised is not None:
            raise pickle.loads(raised)
        sent, results, failures, logged, reports = outcome
        self.run.failures.add(failures)
        for report in reports:
            self.run.events.report(report)
        for line in logged:
            show_log(*line)
        for result in results:
            self.run.results.add(*result)
        for pe, instance, input_name, items in sent:
            await self.run.seats[pe, instance].inbox.put((input_name, items))

    def _lost(self) -> WorkerLostError:
        ran = f"{self.run.plan.pes[self.pe].id} (instance {self.instance})"
        return WorkerLostError(self.rank, self._process_id, "Dask has lost it", ran)

    def _receivers(self) -> list[Seat]:
        plan = self.run.plan
        ways = plan.pes[self.pe].routes.values()
        pes = {route.destination for routes in ways for route in routes}
        return [self.run.seats[pe, i] for pe in pes for i in range(plan.pes[pe].instances)]
