"""Finds workers that were started and have not begun.

Such a worker may hang in a library that cannot be forked, or in the import of the main script.
"""

from __future__ import annotations

from time import monotonic

from dispel4py.errors import WorkerStartError
from dispel4py.logs import RUN_LOG
from dispel4py.processes.limits import ProcessLimits
from dispel4py.processes.workers.start_methods import Start, has_main_script


class StartWatch:
    """Watches workers from their start until they have begun.

    Args:
        start: how they are started.
        limits: when to log a worker.
    """

    def __init__(self, start: Start, limits: ProcessLimits = ProcessLimits()) -> None:
        self._start = start
        self._limits = limits
        self._started_at: dict[int, float] = {}
        self._warned: set[int] = set()

    def add(self, number: int) -> None:
        """Watch a worker that was just started."""
        self._started_at[number] = monotonic()

    def remove(self, number: int) -> None:
        """Stop watching a worker, which has begun or was killed."""
        self._started_at.pop(number, None)

    def is_starting(self, number: int) -> bool:
        """Return whether a worker has not begun."""
        return number in self._started_at

    def check(self, number: int, pid: int) -> WorkerStartError | None:
        """Return an error if a worker has taken too long to begin; log that it takes long before.

        Args:
            number: number of the worker.
            pid: pid of its process.
        """
        if number not in self._started_at:
            return None
        seconds = monotonic() - self._started_at[number]
        if seconds >= self._start.seconds:
            return WorkerStartError(
                number,
                pid,
                f"it was started by {self._start.method} and has not begun within"
                f" {self._start.seconds:g} s; {self._advice()}, or allow more time with"
                " --start-timeout",
            )
        if seconds >= self._limits.slow_start_seconds and number not in self._warned:
            self._warned.add(number)
            RUN_LOG.warning(
                "worker %d (process %d), started by %s, has not begun after %.0f s; %s",
                number,
                pid,
                self._start.method,
                seconds,
                self._advice(),
            )
        return None

    def _advice(self) -> str:
        if self._start.method == "fork":
            return "if a library hangs in forked processes, use --start-method spawn"
        if has_main_script():
            return (
                "it imports the main script first: move what takes long there below"
                " if __name__ == '__main__':"
            )
        return "is this machine very busy?"
