"""How long the mapping `threads` waits for what."""

from __future__ import annotations

from typing import NamedTuple


class ThreadLimits(NamedTuple):
    """Intervals of the end of a run.

    Attributes:
        check_seconds: interval of checks for errors while threads are expected to end.
        stop_seconds: time that threads have to end once they were stopped.
        interrupt_seconds: time that calls have to end once they were interrupted.
    """

    check_seconds: float = 0.05
    stop_seconds: float = 0.3
    interrupt_seconds: float = 0.5
