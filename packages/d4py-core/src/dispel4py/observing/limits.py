"""Limits of what observers may cost a run."""

from __future__ import annotations

from typing import NamedTuple


class ObserverLimits(NamedTuple):
    """Limits of what observers may cost a run.

    Attributes:
        waiting_events: events that may wait for a slow observer, beside reports; others are left
            out, and counted.
        wait_seconds: how long a run waits for an observer with `needs_all_events`, each time when
            so many wait.
        end_seconds: how long a run that is over waits for a slow observer.
        failure_seconds: time between two events about failures of the same kind.
        kept_reports: reports of an instance that a recording keeps.
    """

    waiting_events: int = 10_000
    wait_seconds: float = 0.5
    end_seconds: float = 1.0
    failure_seconds: float = 0.5
    kept_reports: int = 240


class ProgressLimits(NamedTuple):
    """When a line is written of how far a run is.

    Attributes:
        first_seconds: until the first line.
        growth: by what the time between two lines grows.
        longest_seconds: until where it grows.
        least_seconds: until any line, for the reports that belong to it.
    """

    first_seconds: float = 10.0
    growth: float = 1.5
    longest_seconds: float = 60.0
    least_seconds: float = 0.1
