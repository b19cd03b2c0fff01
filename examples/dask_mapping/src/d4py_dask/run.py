"""`DaskRun`: drives the instances of a run from their creation to their end."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from time import perf_counter
from typing import Any

from distributed import Client

from d4py_dask.limits import DaskLimits
from d4py_dask.remote_instance import RemoteInstance
from d4py_dask.state import RunState
from dispel4py.mapping import Plan, RunOptions, RunResult, RunStats, calls


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
    """

    def __init__(self, plan: Plan, options: RunOptions, limits: DaskLimits) -> None:
        self._state = state = RunState(plan, options, limits)
        self._instances = [
            RemoteInstance(state, *address, rank) for rank, address in enumerate(state.inboxes)
        ]

    async def run(self, client: Client, inputs: Mapping[int, Any], stats: RunStats) -> RunResult:
        """Run all instances.

        Args:
            client: of the cluster.
            inputs: number of a root → its inputs.
            stats: statistics of the run, which are kept up to date.
        """
        started_at = perf_counter()
        state = self._state
        given = {pe: calls(state.plan.pes[pe], value) for pe, value in inputs.items()}
        result = RunResult(state.results.outputs, state.failures.kept, stats)
        state.events.begin(state.plan, inputs, result)
        try:
            await asyncio.gather(*(instance.create(client) for instance in self._instances))
            async with asyncio.TaskGroup() as group:
                reports = group.create_task(self._report(stats, started_at))
                async with asyncio.TaskGroup() as work:
                    for instance in self._instances:
                        work.create_task(instance.work(given.get(instance.pe)))
                reports.cancel()
        finally:
            await self._stop()
            self._update(stats, started_at)
            result.failure_counts = state.failures.counts
        return result

    async def _stop(self) -> None:
        """Stop all instances that have not ended."""
        try:
            async with asyncio.timeout(self._state.limits.stop_seconds):
                await asyncio.gather(*(instance.stop() for instance in self._instances))
        except TimeoutError:
            pass  # a worker that is busy or gone; it ends the instance once it finds no driver

    async def _report(self, stats: RunStats, started_at: float) -> None:
        on_progress = self._state.options.on_progress
        if on_progress is None:
            return
        while True:
            await asyncio.sleep(self._state.limits.progress_seconds)
            self._update(stats, started_at)
            on_progress(stats)

    def _update(self, stats: RunStats, started_at: float) -> None:
        stats.seconds = perf_counter() - started_at
        stats.instances = [entry for instance in self._instances for entry in instance.stats]
