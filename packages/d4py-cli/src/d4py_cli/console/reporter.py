"""A run's messages on standard error: log lines, calls of each PE, the seed and the time.

`Reporter` writes plain lines; `live_reporter.LiveReporter` shows a table on a terminal instead.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager
from types import TracebackType
from typing import TYPE_CHECKING, TextIO

from d4py_cli.files.lines import print_message
from dispel4py.engine.run_events import LateEvents, RunEvents
from dispel4py.processes import is_webassembly
from dispel4py.result import RunResult, RunStats

if TYPE_CHECKING:
    from dispel4py.events import Observer

#: Seconds until the first line of how far a run is.
_PROGRESS_SECONDS = 10.0
#: Parent of all loggers of d4py; PEs log to ``dispel4py.run``.
LOGGER = "dispel4py"


class Reporter(AbstractContextManager["Reporter"]):
    """Writes plain lines.

    Args:
        quiet: Write warnings only.
        progress_seconds: Write the first line of how far the run is after this time; None after
            some seconds.
        per_process: Write the calls of each process at the end, not only those of each PE.

    """

    def __init__(
        self,
        *,
        quiet: bool = False,
        progress_seconds: float | None = None,
        per_process: bool = False,
    ) -> None:
        self._quiet = quiet
        self._per_process = per_process
        self._progress_seconds = progress_seconds or _PROGRESS_SECONDS
        self._logger = logging.getLogger(LOGGER)
        self._handler = _Lines(sys.stderr, logging.WARNING if quiet else logging.INFO)

    def __enter__(self) -> Reporter:
        self._before = self._logger.level, self._logger.propagate
        self._logger.addHandler(self._handler)
        self._logger.setLevel(logging.WARNING if self._quiet else logging.INFO)
        self._logger.propagate = False  # a handler of the workflow would repeat the lines
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        self._logger.removeHandler(self._handler)
        level, self._logger.propagate = self._before
        self._logger.setLevel(level)

    def observers(self, others: Sequence[Observer]) -> list[Observer]:
        """Return observers for `RunOptions.observers`.

        Args:
            others: other observers of the run; without any, what makes events is imported only
                when there is something to write.
        """
        if self._quiet:
            if others:
                self._logger.setLevel(logging.INFO)  # they get what is not shown, too
            return [*others]
        # What is kept until then grows with the time.
        if others or self._progress_seconds > _PROGRESS_SECONDS:
            return [*others, self._progress_lines()]
        if is_webassembly():
            return []  # no threads that could write progress
        return [LateEvents(self._progress_seconds, self._late_events)]

    def _progress_lines(self, passed: float = 0.0) -> Observer:
        from dispel4py.observing.limits import ProgressLimits
        from dispel4py.observing.progress_lines import ProgressLines

        limits = ProgressLimits(first_seconds=self._progress_seconds)
        return ProgressLines(self.write, limits, passed)

    def _late_events(self, age: float) -> RunEvents:
        from dispel4py.observing.event_stream import EventStream

        return EventStream([self._progress_lines(self._progress_seconds)], age)

    def write(self, line: str) -> None:
        """Write a line, unless quiet."""
        if not self._quiet:
            print_message(line)

    def finish(self, result: RunResult) -> None:
        """Report a run that has succeeded."""
        from dispel4py.observing.summary import summarize_result

        for line in summarize_result(result):
            self.write(line)
        self._write_end(result.stats)

    def fail(self, error: BaseException) -> None:
        """Report a run that has failed or was interrupted; the caller shows the error itself."""

    def _write_end(self, stats: RunStats) -> None:
        for entry in stats.instances if self._per_process else ():
            unit = "iteration" if entry.items == 1 else "iterations"
            self.write(f"{entry.pe_id} (rank {entry.rank}): Processed {entry.items} {unit}.")
        for note in stats.notes:
            if note not in self._handler.shown:
                self.write(note)
        if stats.seed is not None:
            self.write(f"SEED: {stats.seed}")
        self.write(f"ELAPSED TIME: {stats.seconds:.4f}")


class _Lines(logging.StreamHandler[TextIO]):
    """Writes log records, and takes those below a level without showing them.

    Args:
        stream: where to.
        least: the level.

    Attributes:
        shown: Messages of the warnings written, which a run may repeat among its notes.
    """

    def __init__(self, stream: TextIO, least: int) -> None:
        super().__init__(stream)
        self._least = least
        self.shown: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno >= logging.WARNING:
            self.shown.add(record.getMessage())
        if record.levelno >= self._least:
            super().emit(record)
