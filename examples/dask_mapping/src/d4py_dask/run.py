"""`DaskRun`: the instances of a run, and what they share."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping
from dataclasses import replace
from time import perf_counter
from typing import Any

from distributed import Client

from d4py_dask.instance import CODEC
from d4py_dask.limits import DaskLimits
from d4py_dask.remote_instance import RemoteInstance
from dispel4py.mapping import (
    FailureCollector,
    Plan,
    ResultCollector,
    RunOptions,
    RunResult,
    RunStats,
    calls,
    events_of,
    make_bundle,
)

#: Number of a PE, and of its instance.
Address = tuple[int, int]


def spread(plan: Plan, workers: int) -> Plan:
    """Return a plan in which each worker may have an instance of each PE that needs just one.

    Not where results depend on which instance an item reaches, nor for a root, nor where the PE
    says how many there are.
    """
    return replace(
        plan,
        pes=tuple(
            pe if pe.is_root or pe.is_pinned or pe.instances > 1 else replace(pe, instances=workers)
            for pe in plan.pes
        ),
    )


class DaskRun:
    """A run.

    Args:
        plan: the plan.
        options: options of the run.
        limits: limits of the run.

    Attributes:
        plan: the plan.
        options: options of the run.
        limits: limits of the run.
        id: a name for the run, unlike those of others in the cluster.
        bundle: the plan in the form in which instances load it.
        instances: the instances.
        results: collects the results.
        failures: collects the items that were skipped.
        events: passes events of the run to its observers.
    """

    def __init__(self, plan: Plan, options: RunOptions, limits: DaskLimits) -> None:
        self.plan = plan
        self.options = options
        self.limits = limits
        self.id = secrets.token_hex(4)
        self.bundle = make_bundle(plan, CODEC, start_method="spawn")
        self.results = ResultCollector(options.on_result)
        self.events = events_of(options)
        self.failures = FailureCollector(options.on_failure, plan.limits, self.events.failure)
        addresses = [(pe, i) for pe in plan.order for i in range(plan.pes[pe].instances)]
        self.instances = {
            address: RemoteInstance(self, *address, rank) for rank, address in enumerate(addresses)
        }
        self._pauses: dict[Address, tuple[int, ...]] = {}
        self._pauses_changed = asyncio.Condition()

    async def run(self, client: Client, inputs: Mapping[int, Any], stats: RunStats) -> RunResult:
        """Run all instances.

        Args:
            client: of the cluster.
            inputs: number of a root → its inputs.
            stats: statistics of the run, which are kept up to date.
        """
        started_at = perf_counter()
        given = {pe: calls(self.plan.pes[pe], value) for pe, value in inputs.items()}
        result = RunResult(self.results.outputs, self.failures.kept, stats)
        self.events.begin(self.plan, inputs, result)
        try:
            await asyncio.gather(*(one.create(client) for one in self.instances.values()))
            async with asyncio.TaskGroup() as group:
                reports = group.create_task(self._report(stats, started_at))
                async with asyncio.TaskGroup() as work:
                    for (pe, _), instance in self.instances.items():
                        work.create_task(instance.work(given.get(pe)))
                reports.cancel()
        finally:
            await self._stop()
            self._update(stats, started_at)
            result.failure_counts = self.failures.counts
        return result

    async def _stop(self) -> None:
        """Stop all instances that have not ended."""
        stops = (instance.stop() for instance in self.instances.values())
        try:
            async with asyncio.timeout(self.limits.stop_seconds):
                await asyncio.gather(*stops)
        except TimeoutError:
            pass  # a worker that is busy or gone; it ends the instance once it finds no driver

    # Progress.

    async def _report(self, stats: RunStats, started_at: float) -> None:
        if self.options.on_progress is None:
            return
        while True:
            await asyncio.sleep(self.limits.progress_seconds)
            self._update(stats, started_at)
            self.options.on_progress(stats)

    def _update(self, stats: RunStats, started_at: float) -> None:
        stats.seconds = perf_counter() - started_at
        stats.instances = [
            entry for instance in self.instances.values() for entry in instance.stats
        ]

    # Roots that are too far ahead of an ordered input.

    async def pause(self, address: Address, roots: tuple[int, ...]) -> None:
        """Have roots wait for an ordered input of an instance; those of before continue."""
        async with self._pauses_changed:
            self._pauses[address] = roots
            self._pauses_changed.notify_all()

    async def until_continued(self, pe: int) -> None:
        """Wait until a PE, if it is a root, need not wait for any ordered input."""
        if not self.plan.pes[pe].is_root:
            return
        async with self._pauses_changed:
            await self._pauses_changed.wait_for(
                lambda: all(pe not in roots for roots in self._pauses.values())
            )
