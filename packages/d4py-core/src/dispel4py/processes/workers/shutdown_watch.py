"""Logs what a run waits for, if its workers take long to exit after the last item."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from time import monotonic

from dispel4py.logs import RUN_LOG
from dispel4py.processes.limits import ProcessLimits
from dispel4py.processes.user_code_thread import still_running


class ShutdownWatch:
    """Logs once what a run waits for, if its end takes longer than some seconds.

    Args:
        limits: how many.
    """

    def __init__(self, limits: ProcessLimits = ProcessLimits()) -> None:
        self._due_at = monotonic() + limits.slow_exit_seconds

    def check(self, remaining: Iterable[tuple[str, Sequence[str]]]) -> None:
        """Log the remaining workers if it is time.

        Args:
            remaining: the name of each worker that has not exited, and the names of the threads
                that it waits for, as far as they are known; read only if it is time.
        """
        if monotonic() < self._due_at:
            return
        self._due_at = float("inf")
        for worker, threads in remaining:
            what = f": {still_running(threads)}" if threads else " to end"
            RUN_LOG.warning("all items are done; waiting for %s%s", worker, what)
