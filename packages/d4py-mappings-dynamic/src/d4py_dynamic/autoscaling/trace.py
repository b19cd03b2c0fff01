"""The scaling trace: active workers and backlog over time, as `RunStats.scaling` and as CSV.

A trace is bounded: it keeps up to two thousand points, spread evenly over a run of any length.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import astuple, fields

from dispel4py.errors import OptionError
from dispel4py.result import RunStats, ScalingPoint


class ScalingTrace:
    """Collects points; when there are too many, it drops every second one and doubles the interval.

    Args:
        most: the most points to keep, at least 3.
        interval: seconds between two points at first; points that come sooner are dropped.
    """

    def __init__(self, most: int = 2000, interval: float = 0.01) -> None:
        self._most = most
        self._interval = interval
        self._points: list[ScalingPoint] = []
        self._latest: ScalingPoint | None = None

    def add(self, seconds: float, active: int, backlog: int) -> None:
        """Add an observation; see `ScalingPoint`."""
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
        """The points that were kept, oldest first, and the latest observation in any case."""
        if self._latest is None or self._latest is self._points[-1]:
            return list(self._points)
        return [*self._points, self._latest]


@contextmanager
def traced_to(target: str | None, stats: RunStats) -> Iterator[None]:
    """Write the trace of the run in the ``with`` block, even if the run fails; see `write_trace`.

    Args:
        target: name of the file; None writes nothing.
        stats: statistics of the run, which have the trace at its end.

    Raises:
        OptionError: the file cannot be written; raised before the run begins.
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
        points: the points to write.

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
