"""Limits of the live page."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class PageLimits:
    """Limits of the live page.

    Attributes:
        update_seconds: time between two updates of a page.
        start_seconds: how long a page waits for the start of the run.
        log_seconds: time between two looks for more in a log.
        end_seconds: how long a run that is over waits for pages to take the last update.
    """

    update_seconds: float = 1.0
    start_seconds: float = 60.0
    log_seconds: float = 0.2
    end_seconds: float = 1.5
