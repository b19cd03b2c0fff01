"""``run(..., progress=True)``: a table in a notebook, lines on standard error elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module
from time import monotonic
from typing import Any

from dispel4py.events import Event, Observer, RunEnded
from dispel4py.html_tables import html_table
from dispel4py.observing.limits import ProgressLimits
from dispel4py.observing.progress import RunProgress
from dispel4py.observing.progress_lines import ProgressLines
from dispel4py.observing.summary import format_rate, format_seconds, format_share
from dispel4py.observing.text import describe_row, describe_total

#: Seconds between two updates of the table.
_UPDATE_SECONDS = 0.5
_TITLES = ("PE", "items", "items/s", "busy", "in call", "waiting", "failed", "seconds", "state")


def show_progress() -> Observer:
    """Return an observer that shows how far a run is, where the program's user sees it."""
    display = _notebook_display()
    if display is not None:
        return ProgressTable(display)
    return ProgressLines(_print, ProgressLimits(first_seconds=2.0))


class ProgressTable:
    """Shows a table in a notebook, and replaces it as the run goes on.

    Args:
        display: `IPython.display.display`.
        clock: the time in seconds.
    """

    def __init__(self, display: Callable[..., Any], clock: Callable[[], float] = monotonic) -> None:
        self._progress = RunProgress()
        self._clock = clock
        self._shown_at = clock()
        # Here, in the thread of the cell; an update, from another thread, finds its place by an id.
        self._handle = display(self, display_id=True)

    def on_event(self, event: Event) -> None:
        """See `dispel4py.events.Observer`."""
        self._progress.on_event(event)
        now = self._clock()
        if isinstance(event, RunEnded) or now - self._shown_at >= _UPDATE_SECONDS:
            self._shown_at = now
            self._handle.update(self)

    def __repr__(self) -> str:
        lines = [describe_total(self._progress.total())]
        return "\n".join([*lines, *map(describe_row, self._progress.rows())])

    def _repr_html_(self) -> str:
        if self._progress.started is None:
            return "starting"
        rows = [
            (
                row.pe_id,
                f"{row.calls:,}",
                format_rate(row.rate),
                format_share(row.busy),
                str(row.in_progress or ""),
                str(row.waiting or ""),
                str(row.failures or ""),
                format_seconds(row.seconds),
                row.state + " (slowest)" * row.is_slowest,
            )
            for row in self._progress.rows()
        ]
        caption = f"{self._progress.started.mapping}, {describe_total(self._progress.total())}"
        return html_table(_TITLES, rows, caption)


def _notebook_display() -> Callable[..., Any] | None:
    """Return `IPython.display.display` in the kernel of a notebook; else None."""
    if "IPython" not in sys.modules:  # no kernel runs without it
        return None
    shell = import_module("IPython").get_ipython()
    if getattr(shell, "kernel", None) is None:
        return None
    display: Callable[..., Any] = import_module("IPython.display").display
    return display


def _print(line: str) -> None:
    if sys.stderr is not None:
        print(line, file=sys.stderr, flush=True)
