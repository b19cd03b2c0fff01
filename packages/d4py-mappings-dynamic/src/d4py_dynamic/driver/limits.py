"""Intervals and limits of the driver of a run."""

from __future__ import annotations

from typing import NamedTuple

#: Seconds between two heartbeats of a worker, and of a driver that workers can join.
HEARTBEAT_SECONDS = 1.0
#: Seconds without a heartbeat after which a worker counts as lost, by default.
LEASE_SECONDS = 30.0


class DriverLimits(NamedTuple):
    """Intervals and limits of the driver of a run.

    Attributes:
        tick_seconds: longest wait for events before the driver checks its worker processes.
        scaling_seconds: the same with autoscaling, and the time between two scaling decisions.
        progress_seconds: time between two calls of ``on_progress``.
        check_seconds: time between two checks of the frontier without an event that moves it; each
            also checks that the store has lost nothing.
        queued_tasks: tasks that may be queued for a root before its feeder stops to read inputs.
        join_poll_seconds: time between two checks for remote workers while there is no worker;
            otherwise it is `HEARTBEAT_SECONDS`.
        failed_starts: workers in a row that may fail to start before the run ends.
        start_seconds: a worker that exits by itself within this time, without having been given
            any work, has failed to start.
    """

    tick_seconds: float = 0.05
    scaling_seconds: float = 0.02
    progress_seconds: float = 0.2
    check_seconds: float = 1.0
    queued_tasks: int = 4
    join_poll_seconds: float = 0.1
    failed_starts: int = 3
    start_seconds: float = 30.0
