"""Intervals and limits of the commands that join, and resume, a run."""

from __future__ import annotations

from typing import NamedTuple

from d4py_dynamic.driver.limits import HEARTBEAT_SECONDS


class RemoteLimits(NamedTuple):
    """Intervals and limits of ``dispel4py worker`` and ``dispel4py resume``.

    Attributes:
        tick_seconds: time between two checks of the worker processes of this host.
        run_poll_seconds: time between two searches for a run to join.
        drain_seconds: time that workers have to return their work when they leave the run.
        end_seconds: time that workers have to end by themselves when the run is over.
        dead_seconds: a driver without a heartbeat for this time is dead, and can be replaced.
        driver_poll_seconds: time between two reads of its heartbeat.
        watch_seconds: longest wait of one read of a run's events.
    """

    tick_seconds: float = 0.05
    run_poll_seconds: float = 0.2
    drain_seconds: float = 1.5
    end_seconds: float = 0.5
    dead_seconds: float = 5 * HEARTBEAT_SECONDS
    driver_poll_seconds: float = 0.1
    watch_seconds: float = 1.0
