"""What a run says on standard error: messages of PEs, who processed how much, how long it took."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from types import TracebackType
from typing import TextIO

from dispel4py.result import RunResult, RunStats

#: Everything that d4py logs is below it; what PEs say by `log` comes as ``dispel4py.run``.
LOGGER = "dispel4py"


class Reporter(AbstractContextManager["Reporter"]):
    """Writes plain lines.

    Args:
        quiet: say nothing but warnings.

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
        self._logger.propagate = False  # a workflow that sets up logging would double the lines
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

    def say(self, line: str) -> None:
        """Show a line, unless quiet."""
        if not self._quiet:
            print(line, file=sys.stderr)

    def finish(self, result: RunResult) -> None:
        """The run is done."""
        for entry in result.stats.instances:
            unit = "iteration" if entry.items == 1 else "iterations"
            self.say(f"{entry.pe_id} (rank {entry.rank}): Processed {entry.items} {unit}.")
        self._say_end(result.stats)

    def fail(self, error: Exception) -> None:
        """The run has failed; the error itself is shown by others."""

    def _say_end(self, stats: RunStats) -> None:
        for note in stats.notes:
            if note not in self._handler.shown:
                self.say(note)
        if stats.seed is not None:
            self.say(f"SEED: {stats.seed}")
        self.say(f"ELAPSED TIME: {stats.seconds:.4f}")


class _Lines(logging.StreamHandler[TextIO]):
    """Writes what is logged, and knows what it has written.

    Attributes:
        shown: the messages of warnings, which a run may have among its notes, too.
    """

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self.shown: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno >= logging.WARNING:
            self.shown.add(record.getMessage())
        super().emit(record)
