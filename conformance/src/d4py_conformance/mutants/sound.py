"""A mapping in this process that keeps every rule, split into steps that a mutant can override."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from typing import Any, ClassVar

from dispel4py import WorkflowGraph
from dispel4py.engine.calls.runner_options import raise_error
from dispel4py.engine.execution.executor import Executor
from dispel4py.engine.execution.metering import Meter
from dispel4py.engine.failures import FailureCollector
from dispel4py.engine.inputs import calls, root_inputs
from dispel4py.engine.items.copying import Copier, copy_item, share_item
from dispel4py.engine.planning.capabilities import Capabilities, refusal
from dispel4py.engine.planning.local_pes import with_local_copies
from dispel4py.engine.planning.plan import Plan, make_plan
from dispel4py.engine.run_events import RunEvents, events_of
from dispel4py.errors import ProcessingError, UnsupportedGraphError
from dispel4py.result import Failure, ResultCollector, RunOptions, RunResult, RunStats

#: Seconds between two reports of a run's progress.
REPORT_SECONDS = 0.2


class Sound:
    """Keeps every rule, one run at a time."""

    name = "sound"
    capabilities = Capabilities(stateful=True, group_by=True, broadcast=True, ordered=True)
    #: Beside those that `run` gives.
    executor_options: ClassVar[dict[str, Any]] = {}

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """It has no options of its own."""

    def run(self, graph: WorkflowGraph, inputs: Any, options: RunOptions) -> RunResult:
        """See `dispel4py.registry.Mapping`."""
        started_at = self.reported_at = time.perf_counter()
        self.plan = plan = self.planned(with_local_copies(make_plan(graph, options)))
        given = root_inputs(plan, inputs)
        isolate = share_item if options.share_items else self.isolate()
        self.options = options
        self.results = ResultCollector(options.on_result)
        events = events_of(options)
        self.failures = FailureCollector(options.on_failure, plan.limits, events.failure)
        run_stats = RunStats(self.name, seed=plan.seed)
        result = RunResult(self.results.outputs, self.failures.kept, run_stats)

        def stats() -> RunStats:
            run_stats.seconds = time.perf_counter() - started_at
            run_stats.instances = self.executor.stats
            return run_stats

        def between() -> bool:
            if time.perf_counter() - self.reported_at > REPORT_SECONDS:
                self.reported_at = time.perf_counter()
                self.report(stats())
            return False

        meter = self.meter(events)
        self.executor = Executor(
            plan,
            self,
            is_local=_nowhere,
            copier=isolate,
            on_error=self.failed,
            on_batch_end=between,
            meter=meter,
            **self.executor_options,
        )
        self.begin(events, given, result)
        instances = [(pe, i) for pe in plan.order for i in range(plan.pes[pe].instances)]
        for pe, instance in reversed(instances):
            self.start(pe, instance)
        for root, value in given.items():
            self.call(root, calls(plan.pes[root], value, isolate))
        for pe, instance in instances:
            self.finish(pe, instance)
        if meter is not None:
            meter.finish()
        self.end()
        stats()
        result.failure_counts = self.failures.counts
        return result

    def begin(self, events: RunEvents, inputs: dict[int, Any], result: RunResult) -> None:
        """Let observers know that the run has begun."""
        events.begin(self.plan, inputs, result)

    def meter(self, events: RunEvents) -> Meter | None:
        """Return what counts for observers."""
        return events.meter(self.plan)

    def report(self, stats: RunStats) -> None:
        """Show how far the run has come."""
        if self.options.on_progress is not None:
            self.options.on_progress(stats)

    def call(self, root: int, items: Iterator[dict[str, Any]]) -> None:
        """Call a root."""
        while self.executor.call_root(root, items):
            pass

    def planned(self, plan: Plan) -> Plan:
        """Return the plan to run, unless it is refused."""
        refused = refusal(plan, self.capabilities)
        if refused is not None:
            raise UnsupportedGraphError(refused)
        return plan

    def isolate(self) -> Copier:
        """Return what copies items."""
        return copy_item

    def send(self, pe: int, instance: int, input_name: str, items: list[Any]) -> None:
        """Carry items to an instance."""
        self.executor.push(pe, instance, input_name, items)

    def result(self, pe_id: str, output: str, items: list[Any]) -> None:
        """Take results."""
        self.results.add(pe_id, output, items)

    def failed(self, error: ProcessingError, item: Any) -> None:
        """Deal with an exception of a PE."""
        if self.options.on_error == "stop":
            raise_error(error, item)
        self.failures.add([Failure(error, item)])

    def start(self, pe: int, instance: int) -> None:
        """Preprocess an instance."""
        self.executor.start(pe, instance)

    def finish(self, pe: int, instance: int) -> None:
        """Postprocess an instance."""
        self.executor.finish(pe, instance)

    def end(self) -> None:
        """End the run."""


def _nowhere(pe: int, instance: int) -> bool:
    """So that all that is sent goes through `Sound.send`."""
    return False


class DeclaresNothing(Sound):
    """Is sound, and can do no more than the least."""

    name = "declares_nothing"

    capabilities = Capabilities(lifecycle=False, any_pickle=True, bounded_memory=False)
