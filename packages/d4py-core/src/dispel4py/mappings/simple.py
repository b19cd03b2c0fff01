"""The mapping `simple`: runs the whole graph in this process, on this thread.

All instances live in one `Executor`.  Roots are called in turn; when their inputs are exhausted,
the PEs are postprocessed in topological order, each after all that feed it.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from time import monotonic, perf_counter
from typing import Any

from dispel4py.engine.calls.runner_options import raise_error
from dispel4py.engine.execution.executor import Executor
from dispel4py.engine.failures import FailureCollector, skip_item
from dispel4py.engine.inputs import calls, root_inputs
from dispel4py.engine.items.copying import copy_item, share_item
from dispel4py.engine.limits import EngineLimits
from dispel4py.engine.planning.capabilities import Capabilities
from dispel4py.engine.planning.local_pes import with_local_copies
from dispel4py.engine.planning.pe_copies import check_copies
from dispel4py.engine.planning.plan import Plan, make_plan
from dispel4py.engine.random_streams import Stream, preserved_generators
from dispel4py.engine.run_events import events_of
from dispel4py.result import ResultCollector, RunOptions, RunResult, RunStats
from dispel4py.workflow_graph import WorkflowGraph

#: Seconds between two calls of `RunOptions.on_progress`.
PROGRESS_SECONDS = 0.2


class SimpleMapping:
    """Runs a graph in this process.

    Args:
        limits: limits of the engine.
        clock: returns the time in seconds.
    """

    name = "simple"
    example = "dispel4py simple pipeline_test -i 10"
    capabilities = Capabilities(stateful=True, group_by=True, broadcast=True, ordered=True)

    def __init__(
        self,
        limits: EngineLimits = EngineLimits(),
        clock: Callable[[], float] = perf_counter,
    ) -> None:
        self._limits = limits
        self._clock = clock

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add no arguments: this mapping has no options."""

    def run(self, graph: WorkflowGraph, inputs: Any, options: RunOptions) -> RunResult:
        """See `dispel4py.registry.Mapping`."""
        with preserved_generators() as caller:
            return self._run(graph, inputs, options, caller)

    def check(self, graph: WorkflowGraph, options: RunOptions) -> str | None:
        """See `dispel4py.registry.CheckingMapping`."""
        check_copies(self._make_plan(graph, options))
        return None

    def _make_plan(self, graph: WorkflowGraph, options: RunOptions) -> Plan:
        return with_local_copies(make_plan(graph, options, self._limits))

    def _run(
        self, graph: WorkflowGraph, inputs: Any, options: RunOptions, caller: Stream
    ) -> RunResult:
        started_at = perf_counter()
        plan = self._make_plan(graph, options)
        given = {
            root: value if isinstance(value, int | list | tuple) else caller.drawing(value)
            for root, value in root_inputs(plan, inputs).items()
        }
        copier = share_item if options.share_items else copy_item
        handler = _OutputHandler(options, caller)
        stats = RunStats(self.name, seed=plan.seed)
        events = events_of(options)
        failures = FailureCollector(options.on_failure, self._limits, events.failure)
        result = RunResult(handler.results.outputs, failures.kept, stats)
        next_report = monotonic() + PROGRESS_SECONDS

        def report() -> bool:
            nonlocal next_report
            if options.on_progress is not None and monotonic() >= next_report:
                next_report = monotonic() + PROGRESS_SECONDS
                stats.instances = executor.stats
                stats.seconds = perf_counter() - started_at
                caller.activate()
                options.on_progress(stats)
            return False

        executor = Executor(
            plan,
            handler,
            copier=copier,
            on_error=raise_error
            if options.on_error == "stop"
            else lambda error, item: failures.add([skip_item(error, item, copier)]),
            on_batch_end=None if options.on_progress is None else report,
            lets_wait=True,
            meter=events.meter(plan),
            clock=self._clock,
        )
        events.begin(plan, given, result)
        try:
            with executor.closing():
                iterators = {root: calls(plan.pes[root], given[root], copier) for root in given}
                _run_instances(executor, plan, iterators)
        finally:
            stats.instances = executor.stats
            stats.seconds = perf_counter() - started_at
            result.failure_counts = failures.counts
        return result


def _run_instances(
    executor: Executor, plan: Plan, iterators: dict[int, Iterator[dict[str, Any]]]
) -> None:
    """Start all instances, make the calls of the roots in turn, and finish the instances."""
    # Receivers first: a preprocess may write.
    for pe in reversed(plan.order):
        for instance in range(plan.pes[pe].instances):
            executor.start(pe, instance)
    while iterators:
        for root, iterator in list(iterators.items()):
            if not executor.call_root(root, iterator):
                del iterators[root]
            executor.process_waiting(executor.waiting.due_pes())
    for pe in plan.order:
        for instance in range(plan.pes[pe].instances):
            executor.finish(pe, instance)


class _OutputHandler:
    """Takes results; all instances are local, so no items are sent."""

    def __init__(self, options: RunOptions, caller: Stream) -> None:
        self.results = ResultCollector(options.on_result)
        self._caller = caller
        self.result = self.results.add if options.on_result is None else self._add

    def _add(self, pe_id: str, output: str, items: list[Any]) -> None:
        self._caller.activate()
        self.results.add(pe_id, output, items)

    def send(self, pe: int, instance: int, input_name: str, items: list[Any]) -> None:
        raise AssertionError("`simple` has no instance elsewhere")
