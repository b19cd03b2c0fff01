"""What instances have done between two reports; reports themselves are cumulative."""

from __future__ import annotations

from dataclasses import dataclass

from dispel4py.events import InstanceReport

#: Worker, id of the PE, number of the instance.
Instance = tuple[int, str, int]


@dataclass(frozen=True)
class Increment:
    """What an instance has done since its last report.

    Attributes:
        since: time of the last report, or of the worker's start.
        calls: calls that have ended.
        call_seconds: time in these calls, also from before the last report.
        seconds: time in calls since the last report, with the one in progress.
    """

    since: float
    calls: int
    call_seconds: float
    seconds: float


class Increments:
    """Compares each report with the last one of the same instance in the same worker.

    Attributes:
        last: the last report of each instance.
        seconds: time in calls of each instance, with the one in progress.
    """

    def __init__(self) -> None:
        self.last: dict[Instance, InstanceReport] = {}
        self.seconds: dict[Instance, float] = {}

    def add(self, report: InstanceReport, began: float) -> Increment:
        """Return what is new in a report of a worker that began at the given time."""
        key = report.worker, report.pe, report.instance
        last = self.last.get(key, InstanceReport(min(began, report.time), *key))
        in_progress = 0.0 if report.in_call_since is None else report.time - report.in_call_since
        before = self.seconds.get(key, 0.0)
        seconds = max(before, report.seconds + max(in_progress, 0.0))
        self.last[key], self.seconds[key] = report, seconds
        return Increment(
            last.time, report.calls - last.calls, report.seconds - last.seconds, seconds - before
        )
