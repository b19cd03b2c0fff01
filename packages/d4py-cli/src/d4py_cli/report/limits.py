"""How much a report keeps of a run, however long the run is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ReportLimits:
    """Limits of a report.

    Attributes:
        bins: maximum number of intervals into which the time of a run is divided.
        first_bin_seconds: length of an interval at the start of a run; it doubles as time passes.
        cells: maximum number of rectangles in a picture; with many rows, intervals are longer.
        slow_calls: number of slowest calls in all.
        failures: number of kinds of failures.
        messages: number of warnings.
    """

    bins: int = 240
    first_bin_seconds: float = 0.01
    cells: int = 8000
    slow_calls: int = 20
    failures: int = 100
    messages: int = 100
