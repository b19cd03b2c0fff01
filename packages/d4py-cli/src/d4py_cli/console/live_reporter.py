"""`LiveReporter`: a run's messages above a table of its progress, on a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType

from d4py_cli.console.progress_table import ProgressScreen
from d4py_cli.console.reporter import Reporter
from d4py_cli.console.terminal import Terminal
from d4py_cli.observing.taken_events import TakenEvents
from dispel4py.events import Event, Observer
from dispel4py.result import RunResult

#: Seconds without an event after which the table is left as it is, once the run is over.
_STUCK_SECONDS = 1.0


class LiveReporter(Reporter):
    """Shows the table below other output during the run, and leaves it there at the end.

    It observes the run.  The events go to the process that draws the table, which keeps them.

    Attributes:
        needs_all_events: see `dispel4py.observing.observer_queue`.
    """

    needs_all_events = True

    def __init__(self, *, per_process: bool = False) -> None:
        super().__init__(per_process=per_process)
        self._terminal: Terminal | None = None
        self._taken: TakenEvents | None = None

    def __enter__(self) -> LiveReporter:
        super().__enter__()
        self._terminal = Terminal(ProgressScreen).__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        self._leave_table()
        super().__exit__(kind, error, where)

    def observers(self, others: Sequence[Observer]) -> list[Observer]:
        return [*others, self]

    def on_event(self, event: Event) -> None:
        """See `dispel4py.events.Observer`."""
        if self._terminal is not None:
            self._terminal.send(event)
            self._taken = self._taken or TakenEvents()
            self._taken.add(event)

    def finish(self, result: RunResult) -> None:
        self._leave_table()
        self._write_end(result.stats)

    def fail(self, error: BaseException) -> None:
        self._leave_table()
        super().fail(error)

    def _leave_table(self) -> None:
        if self._terminal is not None:
            try:
                if self._taken is not None:
                    self._taken.wait_for_all(_STUCK_SECONDS)
            finally:  # Ctrl-C
                terminal, self._terminal = self._terminal, None
                terminal.__exit__(None, None, None)
