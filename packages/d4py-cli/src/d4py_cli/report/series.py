"""The numbers that the pictures of a report show, as columns of lists.

They are made without the library that draws, so that the live page sends new ones at little cost.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle, islice
from typing import Any

from d4py_cli.report.summary import RunSummary
from d4py_cli.report.timeline import Timeline

#: Column → its values.
Columns = dict[str, list[Any]]
#: Colours of the PEs, in their order: those of Okabe and Ito, "Color universal design", 2008, which
#: people of all kinds of colour vision tell apart, and darker ones of the same.
_COLOURS = (
    *("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00"),
    *("#004c77", "#9a6a00", "#00664a", "#8a5170", "#3b7a9e", "#8f3f00"),
)


def colours(summary: RunSummary) -> dict[str, str]:
    """Return a colour for each PE."""
    names = list(summary.totals())
    return dict(zip(names, islice(cycle(_COLOURS), len(names)), strict=True))


def worker_names(summary: RunSummary) -> list[str]:
    """Return what the workers are called in pictures, in their order."""
    several = len({worker.host for worker in summary.workers.values()}) > 1
    return [
        f"{number} on {worker.host}" if several and worker.host else str(number)
        for number, worker in sorted(summary.workers.items())
    ]


def columns(summary: RunSummary) -> dict[str, Columns]:
    """Return the columns of each picture, by its name."""
    return {
        "workers": _worker_cells(summary),
        "pes": _pe_cells(summary),
        "rates": _rates(summary),
        "queues": _queues(summary),
        "scaling": _scaling(summary),
    }


def _worker_cells(summary: RunSummary) -> Columns:
    """Return a rectangle for each worker and time in which it was in calls.

    It has the colour of the PE that took most of the time, and is as opaque as the worker was busy.
    """
    cells: Columns = {name: [] for name in ("row", "left", "right", "colour", "share", "text")}
    if not summary.workers:
        return cells
    busy = summary.busy.coarser(summary.limits.cells // len(summary.workers))
    colour = colours(summary)
    rows: dict[int, list[tuple[str, list[float]]]] = {}
    for (worker, pe), row in busy.rows.items():
        rows.setdefault(worker, []).append((pe, row))
    for name, worker in zip(worker_names(summary), sorted(summary.workers), strict=True):
        parts = rows.get(worker, ())
        for i in range(len(busy)):
            spent = {pe: row[i] for pe, row in parts if i < len(row) and row[i] > 0}
            if spent:
                most = max(spent, key=spent.__getitem__)
                share = _share(sum(spent.values()), busy, i, summary.seconds)
                text = ", ".join(
                    f"{pe} {_share(seconds, busy, i, summary.seconds):.0%}"
                    for pe, seconds in sorted(spent.items(), key=lambda it: -it[1])[:4]
                )
                _add_cell(cells, name, busy, i, summary.seconds, colour[most], share, text)
    return cells


def _pe_cells(summary: RunSummary) -> Columns:
    """Return a rectangle for each PE and time, as opaque as its instances were busy."""
    cells: Columns = {name: [] for name in ("row", "left", "right", "colour", "share", "text")}
    colour, totals = colours(summary), summary.totals()
    busy = summary.busy.coarser(summary.limits.cells // max(1, len(totals)))
    sums: dict[str, list[float]] = {pe: [0.0] * len(busy) for pe in totals}
    for (_, pe), row in busy.rows.items():
        for i, seconds in enumerate(row):
            sums[pe][i] += seconds
    for pe, row in sums.items():
        instances = max(1, totals[pe].instances)
        for i, seconds in enumerate(row):
            if seconds > 0:
                calling = _share(seconds, busy, i, summary.seconds, 1e9)
                text = f"{calling:.3g} of {instances} in calls"
                _add_cell(
                    cells, pe, busy, i, summary.seconds, colour[pe], calling / instances, text
                )
    return cells


def _rates(summary: RunSummary) -> Columns:
    """Return calls a second of each PE."""
    found: Columns = {"time": _times(summary.calls, summary.seconds)}
    for pe in summary.totals():
        row = _filled(summary.calls, pe)
        rates = [
            round(calls / _length(summary.calls, i, summary.seconds), 3)
            for i, calls in enumerate(row)
        ]
        found[pe] = [*rates, rates[-1]] if rates else []
    return found


def _queues(summary: RunSummary) -> Columns:
    """Return the longest queue of each PE; "" is one that all PEs share."""
    found: Columns = {"time": _times(summary.queues, summary.seconds)}
    for pe in ("", *summary.totals()):
        row = _filled(summary.queues, pe)
        found[pe or "all PEs"] = [*row, row[-1]] if row else []
    return found


def _scaling(summary: RunSummary) -> Columns:
    points = summary.scaling
    last = points[-1:] if points else []
    times = [point.time for point in points]
    return {
        "time": [*times, summary.seconds] if points else [],
        "active": [point.active for point in [*points, *last]],
        "backlog": [point.backlog for point in [*points, *last]],
    }


def _add_cell(
    cells: Columns,
    row: str,
    line: Timeline[Any],
    i: int,
    end: float,
    colour: str,
    share: float,
    text: str,
) -> None:
    left = i * line.width
    values = (row, round(left, 3), round(left + _length(line, i, end), 3), colour)
    for name, value in zip(cells, (*values, round(min(share, 1.0), 2), text), strict=True):
        cells[name].append(value)


def _share(seconds: float, line: Timeline[Any], i: int, end: float, most: float = 1.0) -> float:
    """Return which part of a bin some seconds are."""
    return min(most, seconds / _length(line, i, end))


def _length(line: Timeline[Any], i: int, end: float) -> float:
    """Return the length of a bin; the last one ends with the run."""
    return max(min(line.width, end - i * line.width), line.width / 100)


def _times(line: Timeline[Any], end: float) -> list[float]:
    """Return the times at which bins begin, and the time at which the last one ends."""
    count = len(line)
    starts = [round(i * line.width, 3) for i in range(count)]
    return [*starts, round(min(count * line.width, max(end, starts[-1])), 3)] if count else []


def _filled(line: Timeline[str], key: str) -> Sequence[float]:
    row = line.rows.get(key, [])
    return [*row, *[0.0] * (len(line) - len(row))]
