"""How far a run is, in words."""

from __future__ import annotations

from dispel4py.observing.progress import Row, Total
from dispel4py.observing.summary import format_rate, format_seconds, format_share


def describe_total(total: Total) -> str:
    """Return how far a run is, in one phrase.

    >>> describe_total(Total(75.0, 37, 100, 0.37, 128.0, None))
    '1:15 min, 37 of 100 inputs, 37% done, about 2:08 min left'
    >>> describe_total(Total(75.0, 37, None, None, None, "interrupted"))
    '1:15 min, 37 inputs, interrupted'
    """
    of_all = "" if total.inputs is None else f" of {total.inputs:,}"
    parts = [format_seconds(total.seconds), f"{total.calls:,}{of_all} inputs"]
    if total.outcome is not None and total.outcome != "done":
        parts.append(total.outcome)
    if total.share is not None and total.outcome != "done":
        # Not all is done before the run has ended.
        parts.append(f"{min(99, int(100 * total.share))}% done")
    if total.seconds_left is not None and total.outcome is None:
        parts.append(f"about {format_seconds(total.seconds_left)} left")
    return ", ".join(parts)


def describe_row(row: Row) -> str:
    """Return how far a PE is, in one phrase.

    >>> describe_row(Row("Slow1", 2, 37, 2, 0.41, 0.98, 90.0, 5, 1, "busy", True))
    'Slow1 37 done (1 failed), 2 in progress, 5 waiting, 0.41/s, 98% busy (slowest)'
    """
    parts = [
        f"{row.pe_id} {row.calls:,} done" + (f" ({row.failures:,} failed)" * bool(row.failures))
    ]
    if row.in_progress:
        parts.append(f"{row.in_progress} in progress")
    if row.waiting:
        parts.append(f"{row.waiting:,} waiting")
    parts += [f"{format_rate(row.rate)}/s", f"{format_share(row.busy)} busy"]
    return ", ".join(parts) + " (slowest)" * row.is_slowest
