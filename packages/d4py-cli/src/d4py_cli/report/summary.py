"""`RunSummary`: what a run has done, and when, collected from its events in limited memory.

It is an observer of a run that goes on, and reads the log of one that is over.  Reports and the
live page are made from it.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from operator import add

from d4py_cli.observing.event_visitor import EventVisitor
from d4py_cli.observing.increments import Increments
from d4py_cli.report.limits import ReportLimits
from d4py_cli.report.timeline import Timeline
from dispel4py import events
from dispel4py.events import Event, Failure, Message, PEDescription, QueueReport, Scaled, SlowCall


@dataclass
class PETotals:
    """What all instances of a PE have done.

    Attributes:
        pe: the PE.
        workers: numbers of the workers that have called it.
        instances: number of instances that were called, in all workers.
        calls: calls of ``process`` that have ended.
        items_out: output → number of items.
        bytes_out: bytes of large items.
        seconds: time in calls, with those in progress.
        failures: calls that failed.
        in_progress: number of calls in progress.
        longest_queue: largest number of items or tasks that waited for it.
        unit: what waited: ``items`` or ``tasks``.
    """

    pe: PEDescription
    workers: set[int] = field(default_factory=set)
    instances: int = 0
    calls: int = 0
    items_out: dict[str, int] = field(default_factory=dict)
    bytes_out: int = 0
    seconds: float = 0.0
    failures: int = 0
    in_progress: int = 0
    longest_queue: int = 0
    unit: str = "items"

    @property
    def all_items_out(self) -> int:
        """Number of items written to all outputs."""
        return sum(self.items_out.values())


@dataclass
class Worker:
    """A process that runs PEs.

    Attributes:
        number: its number.
        host: its host; empty if it is not known.
        pid: its process; 0 if it is not known.
        started: when it began, in seconds since the start of the run.
        lost: why it ended before its work was done; empty if it did not.
    """

    number: int
    host: str = ""
    pid: int = 0
    started: float = 0.0
    lost: str = ""


class RunSummary(EventVisitor):
    """Collects the events of one run.

    Args:
        limits: how much is kept.

    Attributes:
        started: the start of the run; None before it.
        ended: its end; None before it.
        seconds: time of the latest event.
        workers: number → worker.
        busy: seconds in calls, by worker and PE.
        calls: ended calls, by PE.
        queues: longest queue, by PE; "" is that of all PEs together.
        scaling: decisions of autoscaling, of a long run a part.
        changes: the latest changes by autoscaling and losses of workers, as time and text.
        failures: kinds of failures with their numbers, by PE, phase and type.
        messages: warnings.
    """

    def __init__(self, limits: ReportLimits = ReportLimits()) -> None:
        self.limits = limits
        self.started: events.RunStarted | None = None
        self.ended: events.RunEnded | None = None
        self.seconds = 0.0
        self.workers: dict[int, Worker] = {}
        self.busy: Timeline[tuple[int, str]] = Timeline(add, limits)
        self.calls: Timeline[str] = Timeline(add, limits)
        self.queues: Timeline[str] = Timeline(max, limits)
        self.scaling: list[Scaled] = []
        self.changes: list[tuple[float, str]] = []
        self.failures: dict[tuple[str, str, str], Failure] = {}
        self.messages: list[Message] = []
        self._slow: dict[tuple[int, str, int, float], SlowCall] = {}
        self._increments = Increments()
        self._queues: dict[tuple[str, int | None], QueueReport] = {}
        self._longest: dict[str, int] = {}
        self._levels: dict[str, tuple[float, int]] = {}

    def on_event(self, event: Event) -> None:
        """Take an event."""
        self.seconds = max(self.seconds, event.time)
        super().on_event(event)

    def totals(self) -> dict[str, PETotals]:
        """Return what each PE has done so far, in the order of the graph."""
        pes = () if self.started is None else self.started.pes
        found = {pe.id: PETotals(pe) for pe in pes}
        for key, report in self._increments.last.items():
            total = found.setdefault(report.pe, PETotals(_unknown(report.pe)))
            total.workers.add(report.worker)
            total.instances += 1
            total.calls += report.calls
            total.seconds += self._increments.seconds[key]
            total.failures += report.failures
            total.in_progress += report.in_call_since is not None
            total.bytes_out += sum(report.bytes_out.values())
            for output, items in report.items_out.items():
                total.items_out[output] = total.items_out.get(output, 0) + items
        for pe, longest in self._longest.items():
            if pe in found:
                found[pe].longest_queue = longest
        for waiting in self._queues.values():
            if waiting.pe in found:
                found[waiting.pe].unit = waiting.unit
        return found

    def slowest(self) -> list[SlowCall]:
        """Return the slowest calls, the slowest first."""
        return sorted(self._slow.values(), key=lambda call: -call.seconds / call.calls)

    def visit_RunStarted(self, event: events.RunStarted) -> None:
        self.started = event

    def visit_RunEnded(self, event: events.RunEnded) -> None:
        self.ended = event
        self.seconds = max(self.seconds, event.seconds)

    def visit_WorkerStarted(self, event: events.WorkerStarted) -> None:
        self.workers[event.worker] = Worker(event.worker, event.host, event.pid, event.time)

    def visit_InstanceReport(self, event: events.InstanceReport) -> None:
        worker = self.workers.setdefault(event.worker, Worker(event.worker, started=event.time))
        new = self._increments.add(event, worker.started)
        # Calls that began before the last report belong to the time before it, too.
        began = min(new.since, event.time - new.call_seconds)
        self.calls.spread(event.pe, began, event.time, new.calls)
        began = min(new.since, event.time - new.seconds)
        self.busy.spread((event.worker, event.pe), began, event.time, new.seconds)

    def visit_QueueReport(self, event: events.QueueReport) -> None:
        pe = event.pe or ""
        self._queues[pe, event.worker] = event
        waiting = sum(one.waiting for (of, _), one in self._queues.items() if of == pe)
        self._longest[pe] = max(waiting, self._longest.get(pe, 0))
        since, before = self._levels.get(pe, (event.time, waiting))
        self.queues.hold(pe, since, event.time, before)
        self.queues.hold(pe, event.time, event.time, waiting)
        self._levels[pe] = event.time, waiting

    def visit_Failure(self, event: events.Failure) -> None:
        key = event.pe, event.phase, event.exception_type
        first = self.failures.get(key)
        if first is not None:
            self.failures[key] = replace(first, count=max(first.count, event.count))
        elif len(self.failures) < self.limits.failures:
            self.failures[key] = event

    def visit_SlowCall(self, event: events.SlowCall) -> None:
        self._slow[event.worker, event.pe, event.instance, event.start] = event
        if len(self._slow) > 2 * self.limits.slow_calls:
            kept = self.slowest()[: self.limits.slow_calls]
            self._slow = {(it.worker, it.pe, it.instance, it.start): it for it in kept}

    def visit_WorkerLost(self, event: events.WorkerLost) -> None:
        worker = self.workers.setdefault(event.worker, Worker(event.worker))
        worker.lost = event.reason
        self._note(event.time, f"worker {event.worker} was lost: {event.reason}")

    def visit_WorkerReplaced(self, event: events.WorkerReplaced) -> None:
        self._note(event.time, f"worker {event.by} was started in place of worker {event.worker}")

    def visit_Scaled(self, event: events.Scaled) -> None:
        self.scaling.append(event)
        if len(self.scaling) > 2 * self.limits.bins:
            del self.scaling[1:-1:2]  # every second one; the first and the latest stay
        self._note(event.time, f"{event.active} workers: {event.reason}")

    def visit_Message(self, event: events.Message) -> None:
        if event.level != "INFO" and len(self.messages) < self.limits.messages:
            self.messages.append(event)

    def _note(self, time: float, text: str) -> None:
        self.changes.append((time, text))
        del self.changes[: -self.limits.messages]


def _unknown(pe: str) -> PEDescription:
    """Return the description of a PE of which only the id is known."""
    return PEDescription(pe, pe, "", 0, is_root=False)
