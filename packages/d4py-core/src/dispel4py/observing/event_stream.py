"""`EventStream`: makes events of what a mapping tells of its run, and gives them to observers.

It runs in the process that drives the run.  Times of other processes arrive as ages, since clocks
of hosts differ, and become seconds since the start of the run here.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from time import perf_counter, time
from typing import Literal

from dispel4py import events
from dispel4py.engine.execution.metering import MeterReport
from dispel4py.engine.inputs import RootInput
from dispel4py.engine.planning.plan import Plan
from dispel4py.engine.run_events import ObservedEvents
from dispel4py.errors import ProcessingError, WorkerLostError
from dispel4py.logs import PROVENANCE_LOG, ROOT
from dispel4py.observing.description import describe_run
from dispel4py.observing.limits import ObserverLimits
from dispel4py.observing.observer_queue import ObserverQueue
from dispel4py.result import Failure, RunResult


class EventStream(ObservedEvents):
    """Gives observers the events of one run.

    Args:
        observers: the observers.
        age: how many seconds ago the run has started.
        limits: what they may cost the run.
    """

    is_observed = True

    def __init__(
        self,
        observers: Sequence[events.Observer],
        age: float = 0.0,
        limits: ObserverLimits = ObserverLimits(),
    ) -> None:
        super().__init__()
        self._limits = limits
        self._queues = [ObserverQueue(observer, limits) for observer in observers]
        self._started_at, self._began_at = perf_counter() - age, time() - age
        self._workers: set[int] = set()
        self._failures: dict[tuple[str, str, str], _FailureKind] = {}
        self._tasks: dict[str | None, int] = {}
        self._messages = _MessageHandler(self)

    # For the mapping.

    def begin(self, plan: Plan, inputs: Mapping[int, RootInput], result: RunResult) -> None:
        super().begin(plan, inputs, result)
        self.on_event(describe_run(plan, inputs, result.stats, self._began_at, self._now))
        for logger in (logging.getLogger(ROOT), PROVENANCE_LOG):
            logger.addHandler(self._messages)
        for queue in self._queues:
            queue.start()

    def report(self, report: MeterReport) -> None:
        now, worker = self._now, report.worker
        if worker not in self._workers:
            self._workers.add(worker)
            self.on_event(events.WorkerStarted(now, worker, report.host, report.pid))
        for one in report.instances:
            since = None if one.in_call is None else max(0.0, now - one.in_call)
            self.on_event(
                events.InstanceReport(
                    *(now, worker, one.pe_id, one.instance, one.calls, one.items_out),
                    *(one.seconds, one.bytes_out, one.failures, since, one.blocked_by, one.is_done),
                )
            )
        for slow in report.slow:
            start = max(0.0, now - slow.ago)
            self.on_event(
                events.SlowCall(
                    *(now, worker, slow.pe_id, slow.instance, start, slow.seconds, slow.item),
                    slow.calls,
                )
            )
        for pe_id, count in report.queues:
            self.on_event(events.QueueReport(now, pe_id, count, "items", worker))

    def failure(self, failure: Failure) -> None:
        self._note_failure(failure.error)

    def queues(self, waiting: Iterable[tuple[str | None, int]]) -> None:
        for pe_id, count in waiting:
            if self._tasks.get(pe_id, 0) != count:
                self._tasks[pe_id] = count
                self.on_event(events.QueueReport(self._now, pe_id, count, "tasks"))

    def worker_lost(self, error: WorkerLostError, by: int | None = None) -> None:
        pes = tuple(name.strip() for name in error.ran.split(",") if name.strip())
        self.on_event(events.WorkerLost(self._now, error.rank, error.cause, pes))
        if by is not None:
            self.on_event(events.WorkerReplaced(self._now, error.rank, by))

    def scaled(self, active: int, backlog: int, reason: str) -> None:
        self.on_event(events.Scaled(self._now, active, backlog, reason))

    # For all.

    def on_event(self, event: events.Event) -> None:
        """Give an event to all observers."""
        for queue in self._queues:
            queue.put(event)

    def message(self, record: logging.LogRecord) -> None:
        """Give observers a line that was logged, or what a PE has declared."""
        if (declared := getattr(record, "declared", None)) is not None:
            self.on_event(events.FilesDeclared(self._now, *declared))
            return
        level = "WARNING" if record.levelno >= logging.WARNING else "INFO"
        pe, worker, text = getattr(record, "pe_line", (None, None, None))
        if text is None:
            text = record.getMessage()
        self.on_event(events.Message(self._now, level, text, pe, worker))

    def end(self, error: BaseException | None) -> None:
        """End the run, after which no events follow.

        Args:
            error: what ended it; None if it has done its work.
        """
        for logger in (logging.getLogger(ROOT), PROVENANCE_LOG):
            logger.removeHandler(self._messages)
        if self.result is None:  # nothing was started
            return
        for kind in self._failures.values():
            if kind.is_behind:
                self.on_event(kind.event(self._now))
        if isinstance(error, ProcessingError):
            self._note_failure(error)
        elif isinstance(error, WorkerLostError):
            self.worker_lost(error)
        outcome: Literal["done", "failed", "interrupted"] = "done"
        if error is not None:
            outcome = "failed" if isinstance(error, Exception) else "interrupted"
        text = "" if error is None else str(error) or type(error).__name__
        self.on_event(events.RunEnded(self._now, outcome, self._now, text))
        for queue in self._queues:
            queue.close()

    @property
    def _now(self) -> float:
        return perf_counter() - self._started_at

    def _note_failure(self, error: ProcessingError) -> None:
        key = error.pe_id, error.phase, error.exception_type
        kind = self._failures.get(key)
        if kind is None:
            kind = self._failures[key] = _FailureKind(error)
        kind.count += 1
        if kind.is_due(self._now, self._limits.failure_seconds):
            self.on_event(kind.event(self._now))


class _FailureKind:
    """Failures of a PE in the same phase with the same type of exception.

    Args:
        error: the first of them.

    Attributes:
        count: how many there are.
    """

    def __init__(self, error: ProcessingError) -> None:
        self._first = error
        self._shown = 0
        self._shown_at = 0.0
        self.count = 0

    @property
    def is_behind(self) -> bool:
        """Whether the last event has had another count."""
        return self.count != self._shown

    def is_due(self, now: float, seconds: float) -> bool:
        """Return whether to give the next event: at first, and after some time again."""
        return not self._shown or now - self._shown_at >= seconds

    def event(self, now: float) -> events.Failure:
        """Return an event with all failures so far."""
        self._shown, self._shown_at = self.count, now
        error = self._first
        return events.Failure(
            now,
            error.pe_id,
            error.instance,
            error.phase,
            error.exception_type,
            error.reason,
            error.item or "",
            error.user_traceback,
            self.count,
        )


class _MessageHandler(logging.Handler):
    """Gives an `EventStream` what is logged; other handlers, or standard error, show it.

    Args:
        stream: the stream.
    """

    def __init__(self, stream: EventStream) -> None:
        super().__init__(logging.INFO)
        self._stream = stream

    def handle(self, record: logging.LogRecord) -> bool:
        """Take a message, but not as one that has been shown."""
        self._stream.message(record)
        return False
