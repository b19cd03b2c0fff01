"""`RunProgress`: how far a run is, by PE and in all, from its events.

Rates and shares are those of the last few seconds.  The work that is left is estimated from the
numbers of items that each PE has made of one so far.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from dispel4py.events import (
    Event,
    Failure,
    InstanceReport,
    PEDescription,
    QueueReport,
    RunEnded,
    RunStarted,
    WorkerStarted,
)

#: Rates and shares are those of so many seconds.
WINDOW_SECONDS = 5.0
#: A PE is the slowest, so that it is worth a mark, if its instances are busy for this share.
_SLOWEST_SHARE = 0.2


@dataclass(frozen=True)
class Row:
    """How far a PE is.

    Attributes:
        pe_id: id of the PE.
        instances: how many instances have begun, replicas in workers included.
        calls: calls that have ended.
        in_progress: instances that are in a call.
        rate: calls per second.
        busy: the share of their time that its instances are in calls, from 0 to 1.
        seconds: time in calls of all instances, those in progress included.
        waiting: items, or tasks, that wait.
        failures: calls that failed.
        state: ``starting``, ``waiting for input``, ``busy``, ``blocked by PE``, ``done``,
            ``failed`` or ``stopped``.
        is_slowest: the others wait for this PE.
    """

    pe_id: str
    instances: int
    calls: int
    in_progress: int
    rate: float
    busy: float
    seconds: float
    waiting: int
    failures: int
    state: str
    is_slowest: bool


@dataclass(frozen=True)
class Total:
    """How far a run is in all.

    Attributes:
        seconds: since its start.
        calls: calls of roots that have ended.
        inputs: calls of roots that are to be made; None if their number is not known.
        share: the share of the work that is done, from 0 to 1; None if it is not known.
        seconds_left: an estimate; None if there is none.
        outcome: how it has ended; None if it has not.
    """

    seconds: float
    calls: int
    inputs: int | None
    share: float | None
    seconds_left: float | None
    outcome: str | None


class _PE:
    """What has been reported of a PE."""

    def __init__(self, description: PEDescription) -> None:
        self.description = description
        self.reports: dict[tuple[int, int], InstanceReport] = {}
        self.queues: dict[int | None, int] = {}
        self.failures = 0
        self.points: deque[tuple[float, int, float]] = deque()

    @property
    def calls(self) -> int:
        return sum(report.calls for report in self.reports.values())

    def sent(self, output: str) -> int:
        """Return how many items were written to an output."""
        return sum(report.items_out.get(output, 0) for report in self.reports.values())

    def seconds(self, now: float) -> float:
        """Return the time in calls, those in progress included."""
        return sum(
            report.seconds + (0 if report.in_call_since is None else now - report.in_call_since)
            for report in self.reports.values()
        )

    def lately(self, now: float) -> tuple[float, float]:
        """Return calls per second, and seconds in calls per second, of the last few seconds.

        They follow from what was known at the times of earlier calls of this method.
        """
        calls, seconds = self.calls, self.seconds(now)
        points = self.points
        if not points or now - points[-1][0] > WINDOW_SECONDS / 20:
            points.append((now, calls, seconds))
        while len(points) > 1 and now - points[1][0] >= WINDOW_SECONDS:
            points.popleft()
        then, calls_then, seconds_then = points[0]
        if now <= then:
            return 0.0, 0.0
        return (calls - calls_then) / (now - then), max(0.0, seconds - seconds_then) / (now - then)


class RunProgress:
    """How far a run is; an observer.

    Attributes:
        started: the first event; None before the run has begun.
        ended: the last one; None before the run has ended.
    """

    def __init__(self) -> None:
        self.started: RunStarted | None = None
        self.ended: RunEnded | None = None
        self._pes: dict[str, _PE] = {}
        self._workers = 0
        self._now = 0.0
        self._failed_pe: str | None = None

    def on_event(self, event: Event) -> None:
        """Take note of an event."""
        self._now = max(self._now, event.time)
        match event:
            case RunStarted():
                self.started = event
                self._pes = {pe.id: _PE(pe) for pe in event.pes}
            case WorkerStarted():
                self._workers += 1
            case InstanceReport():
                pe = self._pes[event.pe]
                pe.reports[event.worker, event.instance] = event
                pe.lately(event.time)
            case QueueReport() if event.pe is not None:
                self._pes[event.pe].queues[event.worker] = event.waiting
            case Failure():
                self._failed_pe = event.pe
            case RunEnded():
                self.ended = event
            case _:
                pass

    def rows(self, now: float | None = None) -> list[Row]:
        """Return how far each PE is.

        Args:
            now: seconds since the start of the run; None for the time of the last event.
        """
        now = self._time(now)
        lately = {pe_id: pe.lately(now) for pe_id, pe in self._pes.items()}
        slowest = self._slowest(now)
        return [self._row(pe, now, *lately[pe_id], slowest) for pe_id, pe in self._pes.items()]

    def total(self, now: float | None = None) -> Total:
        """Return how far the run is in all; see `rows`."""
        now = self._time(now)
        roots = [pe for pe in self._pes.values() if pe.description.is_root]
        counts = [] if self.started is None else [*self.started.inputs.values()]
        known = [count for count in counts if count is not None]
        inputs = sum(known) if counts and len(known) == len(counts) else None
        calls = sum(root.calls for root in roots)
        outcome = None if self.ended is None else self.ended.outcome
        if outcome == "done":
            return Total(now, calls, inputs, 1.0, 0.0, outcome)
        share, left = (None, None) if inputs is None else self._estimate(now)
        return Total(now, calls, inputs, share, None if outcome else left, outcome)

    def _time(self, now: float | None) -> float:
        return self._now if now is None or self.ended is not None else max(now, self._now)

    def _row(self, pe: _PE, now: float, rate: float, busy: float, slowest: str | None) -> Row:
        reports = [*pe.reports.values()]
        working = sum(not report.is_done for report in reports)
        in_progress = sum(report.in_call_since is not None for report in reports)
        seconds = pe.seconds(now)
        if self.ended is not None:
            in_progress = 0
            rate = pe.calls / now if now else 0.0
            busy, working = (seconds / now if now else 0.0), len(reports)
        return Row(
            pe.description.id,
            len(reports),
            pe.calls,
            in_progress,
            rate,
            min(1.0, busy / working) if working else 0.0,
            seconds,
            0 if self.ended is not None else sum(pe.queues.values()),
            sum(report.failures for report in reports),
            self._state(pe, reports, is_busy=in_progress > 0 or rate > 0),
            pe.description.id == slowest,
        )

    def _state(self, pe: _PE, reports: list[InstanceReport], *, is_busy: bool) -> str:
        if self.ended is not None and self.ended.outcome != "done":
            return "failed" if pe.description.id == self._failed_pe else "stopped"
        if self.ended is not None or (reports and all(report.is_done for report in reports)):
            return "done"
        if not reports and not self._workers:
            return "starting"
        blockers = {report.blocked_by for report in reports} - {None}
        if blockers:
            return f"blocked by {', '.join(sorted(map(str, blockers)))}"
        return "busy" if is_busy else "waiting for input"

    def _slowest(self, now: float) -> str | None:
        """Return the id of the PE whose instances are the busiest, if it is worth a mark."""
        shares = {
            pe_id: pe.seconds(now) / (len(pe.reports) * now)
            for pe_id, pe in self._pes.items()
            if pe.reports and now > 0
        }
        if len(shares) < 2 or max(shares.values()) < _SLOWEST_SHARE:
            return None
        return max(shares, key=lambda pe_id: shares[pe_id])

    def _estimate(self, now: float) -> tuple[float | None, float | None]:
        """Return the share of the work that is done, and the seconds that are left."""
        expected = self._expected()
        done = work = 0.0
        left: list[float] = []
        for pe_id, pe in self._pes.items():
            calls, seconds = pe.calls, pe.seconds(now)
            rest = max(0.0, expected[pe_id] - calls)
            if not calls:
                if expected[pe_id] > 0:
                    return None, None
                continue
            done += seconds
            work += seconds + rest * seconds / calls
            if rest:
                rate = pe.lately(now)[0] or calls / now
                left.append(rest / rate)
        return (done / work if work else None), max(left, default=None)

    def _expected(self) -> dict[str, float]:
        """Return how many calls each PE will have had, if it goes on as it has."""
        assert self.started is not None
        expected = dict.fromkeys(self._pes, 0.0)
        expected |= {pe_id: float(count or 0) for pe_id, count in self.started.inputs.items()}
        for pe_id in self._in_order():
            sender = self._pes[pe_id]
            for edge in self.started.edges:
                if edge.source == pe_id and sender.calls:
                    receiver = self._pes[edge.destination].description
                    copies = receiver.instances if edge.grouping == "all" else 1
                    ratio = sender.sent(edge.output) / sender.calls
                    expected[edge.destination] += expected[pe_id] * ratio * copies
        return expected

    def _in_order(self) -> Iterable[str]:
        """Yield the PEs, each after all that feed it."""
        assert self.started is not None
        left = [*self._pes]
        while left:
            fed = {edge.destination for edge in self.started.edges if edge.source in left}
            ready = [pe_id for pe_id in left if pe_id not in fed]
            yield from ready
            left = [pe_id for pe_id in left if pe_id in fed]
