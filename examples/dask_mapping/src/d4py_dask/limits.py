"""The tunables of the mapping."""

from __future__ import annotations

from typing import NamedTuple


class DaskLimits(NamedTuple):
    """Limits of a run on Dask.

    Attributes:
        waiting_batches: batches that wait in the driver for an instance.
        received_batches: batches that an instance has not begun; with so many, it gets no more.
        sent_batches: batches that an instance has written and the driver has not taken.
        root_seconds: a root gets so many calls at once that they take about so long.
        root_calls: the most calls that a root gets at once.
        poll_seconds: the longest time for which a worker holds a request that has no answer yet.
        stop_seconds: how long workers may take to answer that an instance has been stopped.
        progress_seconds: time between two reports of the progress.
    """

    waiting_batches: int = 8
    received_batches: int = 2
    sent_batches: int = 8
    root_seconds: float = 0.2
    root_calls: int = 1024
    poll_seconds: float = 10.0
    stop_seconds: float = 1.0
    progress_seconds: float = 0.2
