"""The summary of a run: a line per PE, and numbers as text."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import TYPE_CHECKING

from dispel4py.result import RunResult

if TYPE_CHECKING:
    from dispel4py.observing.progress import Row


def format_rate(rate: float) -> str:
    """Return calls per second with as many decimals as say something.

    >>> [format_rate(rate) for rate in (0.0, 0.4166, 12.34, 1234.5)]
    ['0', '0.42', '12.3', '1,234']
    """
    if rate == 0:
        return "0"
    return f"{rate:,.2f}" if rate < 10 else f"{rate:,.1f}" if rate < 100 else f"{rate:,.0f}"


def format_seconds(seconds: float) -> str:
    """Return a duration in the unit that fits.

    >>> [format_seconds(seconds) for seconds in (0.25, 12.0, 75.0, 7260.0)]
    ['0.2 s', '12.0 s', '1:15 min', '2:01 h']
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes = int(seconds) // 60
    if minutes < 60:
        return f"{minutes}:{int(seconds) % 60:02} min"
    return f"{minutes // 60}:{minutes % 60:02} h"


def format_share(share: float) -> str:
    """Return a share as a percentage."""
    return f"{100 * share:.0f}%"


def summarize(rows: Iterable[Row]) -> list[str]:
    """Return a line per PE for the end of a run: calls, failures, time in calls and its share.

    >>> from dispel4py.observing.progress import Row
    >>> for line in summarize(
    ...     [
    ...         Row("Read0", 1, 100, 0, 9.0, 0.1, 1.0, 0, 0, "done", False),
    ...         Row("Slow1", 2, 100, 0, 9.0, 0.9, 9.0, 0, 3, "done", True),
    ...     ]
    ... ):
    ...     print(line)
    Read0: 100 items, 1.0 s in calls (10%)
    Slow1: 100 items, 3 failed, 9.0 s in calls (90%)
    """
    return _summary([(row.pe_id, row.calls, row.failures, row.seconds) for row in rows])


def summarize_result(result: RunResult) -> list[str]:
    """Return the same of a result."""
    failures: Counter[str] = Counter()
    for count in result.failure_counts:
        failures[count.pe_id] += count.failures
    seconds: dict[str, float] = defaultdict(float)
    for entry in result.stats.instances:
        seconds[entry.pe_id] += entry.seconds
    items = result.stats.items_per_pe()
    return _summary([(pe_id, items[pe_id], failures[pe_id], seconds[pe_id]) for pe_id in items])


def _summary(pes: list[tuple[str, int, int, float]]) -> list[str]:
    whole = sum(seconds for _, _, _, seconds in pes)
    lines = []
    for pe_id, calls, failures, seconds in pes:
        items = f"{calls:,} item" + "s" * (calls != 1)
        failed = f", {failures:,} failed" if failures else ""
        share = format_share(seconds / whole if whole else 0.0)
        lines.append(f"{pe_id}: {items}{failed}, {format_seconds(seconds)} in calls ({share})")
    return lines
