"""Amounts over time in a limited number of intervals.

A run may take a second or a day, which is not known at its start.  So time is divided into short
intervals, *bins*, at first; whenever there are too many, each pair of neighbours becomes one.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator
from itertools import zip_longest
from operator import add
from typing import Generic, TypeVar

from d4py_cli.report.limits import ReportLimits

Key = TypeVar("Key", bound=Hashable)


class Timeline(Generic[Key]):
    """Sums or largest values by key and bin.

    Args:
        merge: makes one value of those of two neighbouring bins, or of two in one bin: `add` for
            amounts, `max` for levels.
        limits: number and length of bins.

    Attributes:
        width: length of a bin in seconds.
        rows: key → value for each bin, from 0 s on.
    """

    def __init__(
        self,
        merge: Callable[[float, float], float] = add,
        limits: ReportLimits = ReportLimits(),
    ) -> None:
        self.width = limits.first_bin_seconds
        self.rows: dict[Key, list[float]] = {}
        self._merge = merge
        self._most = limits.bins

    def __len__(self) -> int:
        return max(map(len, self.rows.values()), default=0)

    def spread(self, key: Key, start: float, end: float, amount: float) -> None:
        """Add an amount that came evenly between two times, in seconds."""
        start = max(start, 0.0)
        end = max(end, start)
        self._reach(end)
        first, last = int(start / self.width), int(end / self.width)
        row = self._row(key, last)
        if first == last:
            row[first] = self._merge(row[first], amount)
            return
        for i in range(first, last + 1):
            inside = min(end, (i + 1) * self.width) - max(start, i * self.width)
            row[i] = self._merge(row[i], amount * inside / (end - start))

    def hold(self, key: Key, start: float, end: float, value: float) -> None:
        """Merge a value into all bins between two times, in seconds."""
        self._reach(end)
        first, last = int(max(start, 0.0) / self.width), int(end / self.width)
        row = self._row(key, last)
        for i in range(first, last + 1):
            row[i] = self._merge(row[i], value)

    def coarser(self, most: int) -> Timeline[Key]:
        """Return a copy with at most so many bins, and no fewer than one."""
        copy: Timeline[Key] = Timeline(self._merge)
        copy.width, copy._most = self.width, self._most
        copy.rows = {key: list(row) for key, row in self.rows.items()}
        while len(copy) > max(most, 1):
            copy._halve()
        return copy

    def _reach(self, time: float) -> None:
        while time / self.width >= self._most:
            self._halve()

    def _row(self, key: Key, last: int) -> list[float]:
        row = self.rows.setdefault(key, [])
        row.extend([0.0] * (last + 1 - len(row)))
        return row

    def _halve(self) -> None:
        self.width *= 2
        for row in self.rows.values():
            row[:] = [self._merge(a, b) for a, b in _pairs(row)]


def _pairs(row: Iterable[float]) -> Iterator[tuple[float, float]]:
    values = iter(row)
    return zip_longest(values, values, fillvalue=0.0)
