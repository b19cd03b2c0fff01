"""The table of a run's progress: a row for each PE, as wide as the terminal allows."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING, NamedTuple

from dispel4py.events import Event, RunStarted
from dispel4py.observing.progress import Row, RunProgress
from dispel4py.observing.summary import format_rate, format_share
from dispel4py.observing.text import describe_total

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

_COLOURS = {"busy": "cyan", "done": "green", "failed": "red", "blocked": "yellow"}
#: Lines of a terminal that the table leaves to what others print.
_LINES_LEFT = 6
#: Characters to which names of PEs and states may be cut, so that a column of numbers has room.
_NAME_WIDTH, _STATE_WIDTH = 16, 12
#: Characters between two columns.
_GAP = 3


class _Column(NamedTuple):
    """A column of numbers.

    Attributes:
        title: its title.
        text: returns what it shows of a PE.
        rank: which columns stay on a narrow terminal: those of the lowest rank.
        is_optional: it is left out where it would be empty.
    """

    title: str
    text: Callable[[Row], str]
    rank: int
    is_optional: bool = False


_COLUMNS = (
    _Column("instances", lambda row: f"{row.instances:,}", 5),
    _Column("items", lambda row: f"{row.calls:,}", 0),
    _Column("items/s", lambda row: format_rate(row.rate), 1),
    _Column("busy", lambda row: format_share(row.busy) + "*" * row.is_slowest, 2),
    _Column("in call", lambda row: f"{row.in_progress:,}" if row.in_progress else "", 3, True),
    _Column("waiting", lambda row: f"{row.waiting:,}" if row.waiting else "", 4, True),
    _Column("failed", lambda row: f"{row.failures:,}" if row.failures else "", 1, True),
)


class ProgressScreen:
    """The table, for a terminal that is standard error; see `d4py_cli.console.terminal.Screen`."""

    def __init__(self) -> None:
        from rich.console import Console

        self._console = Console(stderr=True)
        self._progress = RunProgress()
        self._began_at = 0.0

    def handle(self, event: Event) -> None:
        """Take note of an event."""
        if isinstance(event, RunStarted):
            self._began_at = monotonic() - event.time
        self._progress.on_event(event)

    def text(self, *, whole: bool) -> str:
        """Return the table; nothing before the run has begun.

        Args:
            whole: it may be higher than the terminal.
        """
        if self._progress.started is None:
            return ""
        most = None if whole else max(1, self._console.height - _LINES_LEFT)
        return render(self._console, self._progress, monotonic() - self._began_at, most)


def render(console: Console, progress: RunProgress, now: float, most: int | None = None) -> str:
    """Return the table of a run as text, with columns left out that have no room.

    Args:
        console: where it is to be shown.
        progress: how far the run is.
        now: seconds since its start.
        most: rows to show; None shows all.
    """
    rows = progress.rows(now)
    mapping = "" if progress.started is None else progress.started.mapping
    caption = f"{mapping}, {describe_total(progress.total(now))}"
    if len(rows[most or len(rows) :]):
        caption += f", and {len(rows) - (most or 0)} more PEs"
    if any(row.is_slowest for row in rows):
        caption += "; * the slowest PE"
    columns = [one for one in _COLUMNS if not one.is_optional or any(map(one.text, rows))]
    while len(columns) > 1 and _least_width(rows, columns) > console.width:
        columns.remove(max(columns, key=lambda column: column.rank))
    with console.capture() as text:
        console.print(_table(rows[:most], columns))
        console.print(caption, style="dim", highlight=False)
    return text.get()


def _least_width(rows: list[Row], columns: list[_Column]) -> int:
    """Return how wide a table is whose names and states are cut as far as they may be."""
    names = max((len(row.pe_id) for row in rows), default=0)
    states = max((len(row.state) for row in rows), default=0)
    texts = min(names, _NAME_WIDTH) + min(states, _STATE_WIDTH)
    return texts + sum(_width(rows, column) for column in columns) + _GAP * (len(columns) + 2)


def _width(rows: list[Row], column: _Column) -> int:
    """Return the width of a column of numbers: one that is cut would be another number."""
    return max([len(column.title), *(len(column.text(row)) for row in rows)])


def _table(rows: list[Row], columns: list[_Column]) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    names = max((len(row.pe_id) for row in rows), default=0)
    table.add_column("PE", no_wrap=True, min_width=min(names, _NAME_WIDTH))
    for column in columns:
        width = _width(rows, column)
        table.add_column(column.title, justify="right", no_wrap=True, min_width=width)
    states = max((len(row.state) for row in rows), default=0)
    table.add_column("state", no_wrap=True, min_width=min(states, _STATE_WIDTH))
    for row in rows:
        state = Text(row.state, style=_COLOURS.get(row.state.partition(" ")[0], "dim"))
        table.add_row(Text(row.pe_id), *(column.text(row) for column in columns), state)
    return table
