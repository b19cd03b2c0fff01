"""The mapping itself: `CustomMapping` drives a run, an `InstanceThread` runs one instance.

An instance sends its items to the inbox of another, and its results to that of the driver, which is
the thread that called `run`.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from time import perf_counter
from typing import Any

from d4py_custom.inbox import Inbox, StoppedError
from dispel4py.mapping import (
    Capabilities,
    Executor,
    Failure,
    FailureCollector,
    InstanceStats,
    Plan,
    ProcessingError,
    ResultCollector,
    RunOptions,
    RunResult,
    RunStats,
    UnsupportedGraphError,
    WorkflowGraph,
    calls,
    check_copies,
    copy_item,
    events_of,
    make_plan,
    raise_error,
    refusal,
    root_inputs,
    share_item,
    with_local_copies,
)

#: Seconds between two calls of `RunOptions.on_progress`.
PROGRESS_SECONDS = 0.2
#: Longest time until a thread that waits looks whether there is something to report.
REPORT_SECONDS = 10.0


class CustomMapping:
    """Runs each instance on a thread."""

    name = "custom"
    capabilities = Capabilities(stateful=True, group_by=True, broadcast=True, ordered=True)

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add nothing: the mapping has no options of its own."""

    def check(self, graph: WorkflowGraph, options: RunOptions) -> str | None:
        """See `dispel4py.mapping.CheckingMapping`."""
        check_copies(self._plan(graph, options))
        return None

    def _plan(self, graph: WorkflowGraph, options: RunOptions) -> Plan:
        plan = make_plan(graph, options)
        refused = refusal(plan, self.capabilities)
        if refused is not None:
            raise UnsupportedGraphError(f"mapping {self.name!r} cannot run this graph: {refused}")
        return with_local_copies(plan)

    def run(self, graph: WorkflowGraph, inputs: Any, options: RunOptions) -> RunResult:
        """See `dispel4py.mapping.Mapping`."""
        started_at = perf_counter()
        plan = self._plan(graph, options)
        isolate = share_item if options.share_items else copy_item
        of_roots = root_inputs(plan, inputs)
        given = {root: calls(plan.pes[root], value, isolate) for root, value in of_roots.items()}
        events = events_of(options)
        results = ResultCollector(options.on_result)
        failures = FailureCollector(options.on_failure, plan.limits, events.failure)
        run = _Run(plan, options, failures)
        stats = RunStats(self.name, seed=plan.seed)
        result = RunResult(results.outputs, failures.kept, stats)
        events.begin(plan, of_roots, result)

        def update() -> None:
            stats.seconds = perf_counter() - started_at
            stats.instances = [
                entry for instance in run.instances.values() for entry in instance.stats
            ]

        with ThreadPoolExecutor(max_workers=len(run.instances)) as pool:
            try:
                for instance in run.instances.values():
                    pool.submit(instance.work, given.get(instance.pe))
                running = len(run.instances)
                next_report = perf_counter() + PROGRESS_SECONDS
                while running:
                    if options.on_progress is not None and perf_counter() >= next_report:
                        next_report = perf_counter() + PROGRESS_SECONDS
                        update()
                        options.on_progress(stats)
                    with suppress(TimeoutError):
                        match run.inbox.get(PROGRESS_SECONDS):
                            case None:
                                running -= 1
                            case BaseException() as error:
                                raise error
                            case pe_id, output, items:
                                results.add(pe_id, output, items)
            finally:
                run.stop()
                update()
                result.failure_counts = failures.counts
        update()
        return result


class _Run:
    """What the threads of a run have in common.

    Attributes:
        inbox: of the driver: results, errors, and None when an instance has ended.
        instances: by number of the PE and of its instance.
        pauses: instance → the roots that have to wait for its ordered inputs.
    """

    def __init__(self, plan: Plan, options: RunOptions, failures: FailureCollector) -> None:
        self.plan = plan
        self.options = options
        self.failures = failures
        self.inbox = Inbox()
        self.pauses: dict[tuple[int, int], tuple[int, ...]] = {}
        self.instances = {
            (pe, i): InstanceThread(self, pe, i) for pe in plan.order for i in self.numbers(pe)
        }

    def numbers(self, pe: int) -> range:
        """Return the numbers of a PE's instances."""
        return range(self.plan.pes[pe].instances)

    def failed(self, error: ProcessingError, item: Any) -> None:
        """Handle an exception of a PE."""
        if self.options.on_error == "stop":
            raise_error(error, item)
        self.failures.add([Failure(error, item)])

    def pause(self, pe: int, instance: int, roots: tuple[int, ...]) -> None:
        """Have roots wait for an ordered input of an instance; those of before continue."""
        if self.pauses.get((pe, instance), ()) != roots:
            self.pauses[pe, instance] = roots
            for root in self.plan.roots:
                self.instances[root.index, 0].inbox.wake()

    def is_paused(self, root: int) -> bool:
        """Return whether a root has to wait."""
        return any(root in roots for roots in [*self.pauses.values()])

    def stop(self) -> None:
        """End all threads: each is, or will soon be, at an inbox."""
        for inbox in (self.inbox, *(instance.inbox for instance in self.instances.values())):
            inbox.stop()


class InstanceThread:
    """An instance on a thread; what it writes leaves by `send` and `result`."""

    def __init__(self, run: _Run, pe: int, instance: int) -> None:
        self.pe = pe
        self.instance = instance
        self.inbox = Inbox()
        self.stats: list[InstanceStats] = []
        self._run = run
        self._meter = events_of(run.options).meter(run.plan)
        self.executor = Executor(
            run.plan,
            self,
            is_local=lambda pe, instance: (pe, instance) == (self.pe, self.instance),
            copier=share_item if run.options.share_items else copy_item,
            on_error=run.failed,
            on_batch_end=self._between,
            meter=self._meter,
        )

    def work(self, inputs: Iterator[dict[str, Any]] | None) -> None:
        """Run the instance from its first item to its last; a root is called with `inputs`."""
        with suppress(StoppedError):
            try:
                self.stats.append(self.executor.start(self.pe, self.instance).stats)
                if inputs is None:
                    self._take_items()
                else:
                    while self.executor.call_root(self.pe, inputs):
                        self._between()
                self.executor.finish(self.pe, self.instance)
                if self._meter is not None:
                    self._meter.finish()
                for receiver in self._receivers():
                    receiver.inbox.put(None)
                self._run.inbox.put(None)
            except StoppedError:
                raise
            except BaseException as error:  # the thread that called `run` raises it
                self._run.inbox.put(error)

    def _take_items(self) -> None:
        """Process what comes until all instances upstream are done."""
        plan = self._run.plan
        senders = sum(plan.pes[pe].instances for pe in plan.pes[self.pe].upstream)
        while senders:
            message = self._next_message()
            if message is None:
                senders -= 1
            else:
                self.executor.push(self.pe, self.instance, *message)
                self.executor.drain()

    def _next_message(self) -> Any:
        """Wait for a message; meanwhile report to observers what was done."""
        while self._meter is not None:
            with suppress(TimeoutError):
                return self.inbox.get(min(REPORT_SECONDS, self._meter.wait()))
        return self.inbox.get()

    def _between(self) -> bool:
        """Pause roots, or wait; called between batches, in the middle of a call, too."""
        planned = self._run.plan.pes[self.pe]
        if planned.ordered:
            roots = self.executor.roots_to_pause.get((self.pe, self.instance), ())
            self._run.pause(self.pe, self.instance, roots)
        if planned.is_root:
            self.inbox.wait_for(lambda: not self._run.is_paused(self.pe))
        return False

    def _receivers(self) -> list[InstanceThread]:
        routes = self._run.plan.pes[self.pe].routes.values()
        pes = {route.destination for ways in routes for route in ways}
        return [self._run.instances[pe, i] for pe in pes for i in self._run.numbers(pe)]

    def send(self, pe: int, instance: int, input_name: str, items: list[Any]) -> None:
        """See `dispel4py.mapping.OutputHandler`."""
        self._run.instances[pe, instance].inbox.put((input_name, items))

    def result(self, pe_id: str, output: str, items: list[Any]) -> None:
        """See `dispel4py.mapping.OutputHandler`."""
        self._run.inbox.put((pe_id, output, items))
