"""The mapping itself: `DaskMapping` checks a graph, connects to a cluster, and runs it there.

All items go through the driver, which only passes their bytes on; so a fast sender waits for a slow
receiver, wherever the two are.
"""

from __future__ import annotations

import argparse
import asyncio
from typing import Any

from d4py_dask.cluster import connected
from d4py_dask.limits import DaskLimits
from d4py_dask.run import DaskRun, spread
from dispel4py.mapping import (
    Capabilities,
    Plan,
    RunOptions,
    RunResult,
    RunStats,
    UnsupportedGraphError,
    WorkflowGraph,
    check_copies,
    end_if_imports_main,
    make_plan,
    refusal,
    root_inputs,
)


class DaskMapping:
    """Runs each instance as an actor on a Dask cluster.

    Args:
        limits: limits of all runs.
    """

    name = "dask"
    capabilities = Capabilities(
        stateful=True, group_by=True, broadcast=True, ordered=True, multi_host=True
    )

    def __init__(self, limits: DaskLimits = DaskLimits()) -> None:
        self._limits = limits

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """See `dispel4py.mapping.Mapping`."""
        parser.add_argument(
            "--scheduler",
            metavar="ADDRESS",
            help="address of a Dask scheduler, such as tcp://HOST:8786; without it a cluster of"
            " this machine is started for the run",
        )

    def check(self, graph: WorkflowGraph, options: RunOptions) -> str | None:
        """See `dispel4py.mapping.CheckingMapping`."""
        check_copies(self._plan(graph, options))
        return None

    def run(self, graph: WorkflowGraph, inputs: Any, options: RunOptions) -> RunResult:
        """See `dispel4py.mapping.Mapping`."""
        plan = self._plan(graph, options)
        end_if_imports_main()
        given = root_inputs(plan, inputs)

        async def run() -> RunResult:
            async with connected(options.extra["scheduler"], options.processes) as client:
                workers = len(await client.nthreads())
                instances = options.processes or workers
                stats = RunStats(self.name, workers, seed=plan.seed)
                return await DaskRun(spread(plan, instances), options, self._limits).run(
                    client, given, stats
                )

        try:
            return asyncio.run(run())
        except BaseExceptionGroup as group:
            first = _first(group)
            raise first from first.__cause__

    def _plan(self, graph: WorkflowGraph, options: RunOptions) -> Plan:
        plan = make_plan(graph, options)
        refused = refusal(plan, self.capabilities)
        if refused is not None:
            raise UnsupportedGraphError(f"mapping {self.name!r} cannot run this graph: {refused}")
        return plan


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the first exception of a group; all others were cancelled because of it."""
    first = group.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first
