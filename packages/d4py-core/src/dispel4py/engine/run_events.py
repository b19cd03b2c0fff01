"""`RunEvents`: what a mapping tells of a run while it goes on, in the process that drives it.

`run` puts one among the observers of the options.  Without observers it drops all events, but keeps
the result so far, for a run that fails.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from time import perf_counter
from typing import TYPE_CHECKING

from dispel4py.result import RunOptions, RunResult

if TYPE_CHECKING:
    from dispel4py.engine.execution.metering import Meter, MeterReport
    from dispel4py.engine.inputs import RootInput
    from dispel4py.engine.planning.plan import Plan
    from dispel4py.errors import WorkerLostError
    from dispel4py.events import Event
    from dispel4py.result import Failure


class RunEvents:
    """Drops all events.

    Attributes:
        is_observed: there are observers, so workers should send reports.
        result: the result so far, which grows during the run; None before it has begun.
    """

    is_observed = False

    def __init__(self) -> None:
        self.result: RunResult | None = None

    def begin(self, plan: Plan, inputs: Mapping[int, RootInput], result: RunResult) -> None:
        """Take note that the run has begun, and its worker processes have been started.

        Args:
            plan: the plan.
            inputs: the inputs of its roots.
            result: the result, which the mapping fills in during the run; its statistics say which
                mapping it is, and on how many processes.
        """
        self.result = result

    def meter(self, plan: Plan, worker: int = 0) -> Meter | None:
        """Return what counts for an `Executor` in this process; None without observers."""
        return None

    def report(self, report: MeterReport) -> None:
        """Take what the meter of a worker has reported."""

    def failure(self, failure: Failure) -> None:
        """Take note of a call that failed, and was skipped."""

    def queues(self, waiting: Iterable[tuple[str | None, int]]) -> None:
        """Take note of how many tasks of a store wait: for a PE, or for all where that is None."""

    def worker_lost(self, error: WorkerLostError, by: int | None = None) -> None:
        """Take note that a worker was lost; `by` is the number of the one that replaces it."""

    def scaled(self, active: int, backlog: int, reason: str) -> None:
        """Take note that autoscaling has changed the number of active workers."""

    def end(self, error: BaseException | None) -> None:
        """Take note that the run has ended, by an error or, if that is None, well."""

    def on_event(self, event: Event) -> None:
        """See `dispel4py.events.Observer`."""


class ObservedEvents(RunEvents):
    """Base of those that pass events on: workers count and report what their instances do."""

    is_observed = True

    def meter(self, plan: Plan, worker: int = 0) -> Meter:
        from dispel4py.engine.execution.metering import Meter

        return Meter(plan, worker, self.report)


class EventTee(ObservedEvents):
    """Gives the events of a run to several receivers, each of which its maker ends.

    Args:
        receivers: the receivers.
    """

    def __init__(self, *receivers: RunEvents) -> None:
        super().__init__()
        self._receivers = receivers

    def begin(self, plan: Plan, inputs: Mapping[int, RootInput], result: RunResult) -> None:
        super().begin(plan, inputs, result)
        for receiver in self._receivers:
            receiver.begin(plan, inputs, result)

    def report(self, report: MeterReport) -> None:
        for receiver in self._receivers:
            receiver.report(report)

    def failure(self, failure: Failure) -> None:
        for receiver in self._receivers:
            receiver.failure(failure)

    def queues(self, waiting: Iterable[tuple[str | None, int]]) -> None:
        found = [*waiting]
        for receiver in self._receivers:
            receiver.queues(found)

    def worker_lost(self, error: WorkerLostError, by: int | None = None) -> None:
        for receiver in self._receivers:
            receiver.worker_lost(error, by)

    def scaled(self, active: int, backlog: int, reason: str) -> None:
        for receiver in self._receivers:
            receiver.scaled(active, backlog, reason)


class LateEvents(ObservedEvents):
    """Keeps what a mapping reports until a run has lasted for some seconds, and gives it on then.

    So a short run need not import what makes events.

    Args:
        seconds: how long the run has to last.
        make: makes what gets the events, given how many seconds ago the run has started.
    """

    def __init__(self, seconds: float, make: Callable[[float], RunEvents]) -> None:
        super().__init__()
        # Once, and not in each worker that is forked.
        import_module("dispel4py.engine.execution.metering")
        self._make = make
        self._started_at = perf_counter()
        self._lock = threading.Lock()
        self._kept: list[Callable[[RunEvents], None]] = []
        self._events: RunEvents | None = None
        self._has_ended = False
        self._timer = threading.Timer(seconds, self._start)
        self._timer.daemon = True
        self._timer.name = "d4py-late-events"

    def begin(self, plan: Plan, inputs: Mapping[int, RootInput], result: RunResult) -> None:
        super().begin(plan, inputs, result)
        self._give(lambda events: events.begin(plan, inputs, result))
        self._timer.start()

    def report(self, report: MeterReport) -> None:
        self._give(lambda events: events.report(report))

    def queues(self, waiting: Iterable[tuple[str | None, int]]) -> None:
        found = [*waiting]
        self._give(lambda events: events.queues(found))

    def end(self, error: BaseException | None) -> None:
        self._timer.cancel()
        with self._lock:
            self._has_ended = True
            events = self._events
        if self._timer.is_alive():  # left, it would keep what it refers to from being finalized
            self._timer.join()
        if events is not None:
            events.end(error)

    def _give(self, call: Callable[[RunEvents], None]) -> None:
        with self._lock:
            if self._events is None:
                self._kept.append(call)
            else:
                call(self._events)

    def _start(self) -> None:
        made = self._make(perf_counter() - self._started_at)
        with self._lock:
            if self._has_ended:  # meanwhile
                return
            for call in self._kept:
                call(made)
            self._kept.clear()
            self._events = made


def events_of(options: RunOptions) -> RunEvents:
    """Return where the events of a run go."""
    for observer in options.observers:
        if isinstance(observer, RunEvents):
            return observer
    return RunEvents()
