"""What is said of a worker that was started and does not begin.

It may hang in a library that does not bear being forked, or in the import of the main script.
"""

from __future__ import annotations

from time import monotonic

from dispel4py.errors import WorkerStartError
from dispel4py.logs import RUN_LOG
from dispel4py.processes.start_methods import Start, has_main_script

#: Seconds after which a worker that has not begun is logged.
_WARN_SECONDS = 10.0


class StartWatch:
    """Watches workers from their start until they begin.

    Args:
        start: how they are started.
    """

    def __init__(self, start: Start) -> None:
        self._start = start
        self._started_at: dict[int, float] = {}
        self._warned: set[int] = set()

    def started(self, number: int) -> None:
        """Watch a worker from now on."""
        self._started_at[number] = monotonic()

    def begun(self, number: int) -> None:
        """Watch it no more: it has begun, or has ended."""
        self._started_at.pop(number, None)

    def is_starting(self, number: int) -> bool:
        """Return whether it has not begun."""
        return number in self._started_at

    def look(self, number: int, pid: int) -> None:
        """Say that a worker takes long, if it does.

        Args:
            number: its number.
            pid: that of its process.

        Raises:
            WorkerStartError: it has taken too long.
        """
        if number not in self._started_at:
            return
        seconds = monotonic() - self._started_at[number]
        if seconds >= self._start.seconds:
            raise WorkerStartError(
                number,
                pid,
                f"it was started by {self._start.method} and has not begun within"
                f" {self._start.seconds:g} s; {self._advice()}, or give it more time by"
                " --start-timeout",
            )
        if seconds >= _WARN_SECONDS and number not in self._warned:
            self._warned.add(number)
            RUN_LOG.warning(
                "worker %d (process %d), started by %s, has not begun after %.0f s; %s",
                number,
                pid,
                self._start.method,
                seconds,
                self._advice(),
            )

    def _advice(self) -> str:
        if self._start.method == "fork":
            return "if a library hangs in forked processes, take --start-method spawn"
        if has_main_script():
            return (
                "it imports the main script first: put what takes long there under"
                " if __name__ == '__main__':"
            )
        return "is this machine very busy?"
