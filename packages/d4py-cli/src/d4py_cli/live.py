"""The live table of a run: each PE's items, rate and state, on a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any

from d4py_cli.reporting import Reporter
from d4py_cli.terminal import Terminal
from dispel4py.core import make_pe_id
from dispel4py.errors import GraphError, ProcessingError
from dispel4py.result import InstanceStats, RunResult, RunStats
from dispel4py.workflow_graph import WorkflowGraph

if TYPE_CHECKING:
    from rich.table import Table

COLOURS = {"running": "cyan", "done": "green", "failed": "red"}


@dataclass
class Row:
    """The table's row of a PE.

    Attributes:
        instances: how many instances have done anything.
        items: calls of ``process``.
        rate: items per second, lately; in the end over the whole run.
        state: ``waiting``, ``running``, ``idle``, ``done``, ``failed`` or ``stopped``.
    """

    instances: int = 0
    items: int = 0
    rate: float = 0.0
    state: str = "waiting"


class PERows:
    """The rows of the table, by PE, made from a run's statistics as they arrive.

    Args:
        pe_ids: the PEs, in the order in which they are shown.
    """

    def __init__(self, pe_ids: Iterable[str]) -> None:
        self.rows = {pe_id: Row() for pe_id in pe_ids}
        self.seconds = 0.0

    def update(self, stats: RunStats) -> None:
        """Update the rows from the statistics of an unfinished run."""
        passed = stats.seconds - self.seconds
        for pe_id, (instances, items) in _totals(stats.instances).items():
            row = self.rows.setdefault(pe_id, Row())
            new = items - row.items
            if passed > 0:
                row.rate = new / passed
            row.state = "running" if new else "idle" if items else "waiting"
            row.instances, row.items = instances, items
        self.seconds = max(self.seconds, stats.seconds)

    def finish(self, stats: RunStats) -> None:
        """Update the rows from the statistics of a finished run."""
        self.update(stats)
        for row in self.rows.values():
            row.rate = row.items / stats.seconds if stats.seconds > 0 else 0.0
            row.state = "done"

    def fail(self, pe_id: str | None) -> None:
        """Mark the run as failed, in the given PE if there is one."""
        for name, row in self.rows.items():
            row.state = "failed" if name == pe_id else "stopped"


class LiveReporter(Reporter):
    """Shows the table below other output during the run, and leaves it there at the end."""

    def __init__(self, mapping: str, graph: WorkflowGraph) -> None:
        super().__init__()
        self._mapping = mapping
        self._progress = PERows(())
        with suppress(GraphError):  # the mapping reports it with all problems
            pes: list[Any] = graph.flatten().get_contained_objects()
            self._progress = PERows(make_pe_id(pe, i) for i, pe in enumerate(pes))
        self._terminal: Terminal | None = None
        self._has_shown = False
        self.on_progress = self._show

    def __enter__(self) -> LiveReporter:
        super().__enter__()
        self._terminal = Terminal(partial(make_renderer, self._mapping)).__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        self._close_terminal()
        super().__exit__(kind, error, where)

    def finish(self, result: RunResult) -> None:
        self._progress.finish(result.stats)
        self._leave_table()
        self._write_end(result.stats)

    def fail(self, error: Exception) -> None:
        self._progress.fail(error.pe_id if isinstance(error, ProcessingError) else None)
        if self._has_shown:  # otherwise the run ended before it was shown
            self._leave_table()

    def _show(self, stats: RunStats) -> None:
        self._progress.update(stats)
        self._has_shown = True
        if self._terminal is not None:
            self._terminal.show(self._progress, False)

    def _leave_table(self) -> None:
        if self._terminal is not None:
            self._terminal.show(self._progress, True, stays=True)
        self._close_terminal()

    def _close_terminal(self) -> None:
        if self._terminal is not None:
            terminal, self._terminal = self._terminal, None
            terminal.__exit__(None, None, None)


def make_renderer(mapping: str) -> Callable[[PERows, bool], str]:
    """Return a function that renders the table for the terminal that is standard error.

    Its arguments are the rows, and whether the table may be higher than the terminal.
    """
    from rich.console import Console

    console = Console(stderr=True)

    def render(progress: PERows, whole: bool) -> str:
        most = None if whole else max(1, console.height - 6)
        with console.capture() as text:
            console.print(_table(mapping, progress, most))
        return text.get()

    return render


def _table(mapping: str, progress: PERows, most: int | None) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    rows = list(progress.rows.items())
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for title in "PE", "instances", "items", "items/s", "state":
        right = title in ("instances", "items", "items/s")
        table.add_column(title, justify="right" if right else "left", no_wrap=True)
    for name, row in rows[:most]:
        state = Text(row.state, style=COLOURS.get(row.state, "dim"))
        table.add_row(Text(name), *_numbers(row), state)
    hidden = len(rows) - len(rows[:most])
    table.caption = f"{mapping}, {progress.seconds:.1f} s"
    if hidden:
        table.caption += f", and {hidden} more PEs"
    return table


def _numbers(row: Row) -> tuple[str, str, str]:
    return f"{row.instances:,}", f"{row.items:,}", f"{row.rate:,.0f}"


def _totals(instances: Iterable[InstanceStats]) -> dict[str, tuple[int, int]]:
    totals: dict[str, tuple[int, int]] = {}
    for entry in instances:
        count, items = totals.get(entry.pe_id, (0, 0))
        totals[entry.pe_id] = count + 1, items + entry.items
    return totals
