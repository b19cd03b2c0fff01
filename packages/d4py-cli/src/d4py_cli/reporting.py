"""A run's messages on standard error: log lines, calls of each PE, the seed and the time.

`Reporter` writes plain lines; `live.LiveReporter` shows a table on a terminal instead.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from types import TracebackType
from typing import TextIO

from dispel4py.result import RunResult, RunStats

#: Parent of all loggers of d4py; PEs log to ``dispel4py.run``.
LOGGER = "dispel4py"


class Reporter(AbstractContextManager["Reporter"]):
    """Writes plain lines.

    Args:
        quiet: Write warnings only.

    Attributes:
        on_progress: for `RunOptions.on_progress`.
    """

    on_progress: Callable[[RunStats], None] | None = None

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet
        self._logger = logging.getLogger(LOGGER)
        self._handler = _Lines(sys.stderr)

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

    def write(self, line: str) -> None:
        """Write a line, unless quiet."""
        if not self._quiet:
            print(line, file=sys.stderr)

    def finish(self, result: RunResult) -> None:
        """Report a run that has succeeded."""
        for entry in result.stats.instances:
            unit = "iteration" if entry.items == 1 else "iterations"
            self.write(f"{entry.pe_id} (rank {entry.rank}): Processed {entry.items} {unit}.")
        self._write_end(result.stats)

    def fail(self, error: Exception) -> None:
        """Report a run that has failed; the caller shows the error itself."""

    def _write_end(self, stats: RunStats) -> None:
        for note in stats.notes:
            if note not in self._handler.shown:
                self.write(note)
        if stats.seed is not None:
            self.write(f"SEED: {stats.seed}")
        self.write(f"ELAPSED TIME: {stats.seconds:.4f}")


class _Lines(logging.StreamHandler[TextIO]):
    """Writes log records.

    Attributes:
        shown: Messages of the warnings written, which a run may repeat among its notes.
    """

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self.shown: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno >= logging.WARNING:
            self.shown.add(record.getMessage())
        super().emit(record)
