"""Active workers and backlog over time, as `RunStats.scaling` and as a CSV file.

A trace is bounded: however long the run, it keeps some thousand points, spread over all of it.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import astuple, fields

from dispel4py.errors import OptionError
from dispel4py.result import RunStats, ScalingPoint

#: Points that a trace keeps.
_MOST_POINTS = 2000
#: Seconds between two points, as long as the run is short.
_INTERVAL_SECONDS = 0.01


class ScalingTrace:
    """Gathers points; when there are too many, it drops every second one and goes on at half pace.

    Args:
        most: the most points to keep, 3 at least.
        interval: seconds between two points at first; those that come sooner are not kept.
    """

    def __init__(self, most: int = _MOST_POINTS, interval: float = _INTERVAL_SECONDS) -> None:
        self._most = most
        self._interval = interval
        self._points: list[ScalingPoint] = []
        self._latest: ScalingPoint | None = None

    def add(self, seconds: float, active: int, backlog: int) -> None:
        """Take an observation; see `ScalingPoint`."""
        self._latest = ScalingPoint(seconds, active, backlog)
        if not self._is_due(seconds):
            return
        if len(self._points) == self._most - 1:  # one place is for the latest
            del self._points[1::2]
            self._interval *= 2
        if self._is_due(seconds):
            self._points.append(self._latest)

    def _is_due(self, seconds: float) -> bool:
        return not self._points or seconds - self._points[-1].seconds >= self._interval

    @property
    def points(self) -> list[ScalingPoint]:
        """What was kept, oldest first, and the latest observation in any case."""
        if self._latest is None or self._latest is self._points[-1]:
            return list(self._points)
        return [*self._points, self._latest]


@contextmanager
def traced_to(target: str | None, stats: RunStats) -> Iterator[None]:
    """Write the trace of a run that goes on inside, however it ends; see `write_trace`.

    Args:
        target: name of the file; None writes nothing.
        stats: has the trace in the end.

    Raises:
        OptionError: the file cannot be written, which is known before the run begins.
    """
    if target is None:
        yield
        return
    write_trace(target, [])
    try:
        yield
    finally:
        write_trace(target, stats.scaling)


def write_trace(target: str, points: Iterable[ScalingPoint]) -> None:
    """Write points as CSV, with the columns ``seconds``, ``active`` and ``backlog``.

    Args:
        target: name of the file.
        points: what to write.

    Raises:
        OptionError: the file cannot be written.
    """
    try:
        with open(target, "w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(field.name for field in fields(ScalingPoint))
            for point in points:
                seconds, *numbers = astuple(point)
                writer.writerow([f"{seconds:.6f}", *numbers])
    except OSError as error:
        raise OptionError(f"cannot write {target}: {error.strerror}") from error
