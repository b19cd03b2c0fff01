"""Bounds and intervals of the engine, which a run can set."""

from __future__ import annotations

from typing import NamedTuple

from dispel4py.engine.limits import EngineLimits


class RankLimits(NamedTuple):
    """What bounds the queues of ranks and driver, and how often either does periodic work.

    Attributes:
        batch_items: Items that fill a batch.
        batch_bytes: Bytes that fill a batch.
        window: Batches in flight to one receiving instance.
        results_window: Batches of results in flight from a rank to the driver.
        call_window: Batches of calls in flight to the only instance of a root.
        shared_call_window: The same for each of several instances, which share the root's calls.
        linger_seconds: A batch that is not full waits no longer than this after the last one to
            the same receiver.
        call_seconds: What a call of a root has written waits for the end of the call no longer than
            about this time.
        shared_batch_seconds: Time in which an instance should process a batch of items that any
            other instance of its PE could process as well.
        wait_seconds: Longest wait of a rank for a frame.
        check_seconds: Longest time between two calls of the driver's `check`.
        feeding_seconds: Longest wait of the driver for a frame while roots are being fed.
        progress_seconds: Time between two calls of ``on_progress``.
    """

    batch_items: int = EngineLimits().batch_items
    batch_bytes: int = EngineLimits().batch_bytes
    window: int = 3
    results_window: int = 8
    call_window: int = 4
    shared_call_window: int = 2
    linger_seconds: float = EngineLimits().batch_seconds
    call_seconds: float = 0.1
    shared_batch_seconds: float = 0.1
    wait_seconds: float = 0.5
    check_seconds: float = 0.05
    feeding_seconds: float = 0.005
    progress_seconds: float = 0.2

    @classmethod
    def of(cls, engine: EngineLimits) -> RankLimits:
        """Return limits by which ranks exchange batches of the size that the engine processes."""
        return cls(
            batch_items=engine.batch_items,
            batch_bytes=engine.batch_bytes,
            linger_seconds=engine.batch_seconds,
        )
