"""Slices: how many items of a batch an instance processes before other work gets its turn.

A slice takes about `EngineLimits.batch_seconds`, and its output is not much larger than
`EngineLimits.batch_bytes`.
"""

from __future__ import annotations

from dispel4py.engine.execution.outlets import Receiver
from dispel4py.engine.limits import EngineLimits


def adapt_slice(receiver: Receiver, items: int, seconds: float, limits: EngineLimits) -> None:
    """Set how many items a receiver gets next, from a slice that it has processed.

    Args:
        receiver: the receiver.
        items: number of items.
        seconds: how long it took.
        limits: bounds of a slice.
    """
    if seconds > limits.batch_seconds:
        slower = int(items * limits.batch_seconds / seconds)
        receiver.slice = max(1, min(receiver.slice, slower))
    elif (
        seconds < limits.batch_seconds / 2
        and items == receiver.slice < limits.batch_items
        and all(counter.bytes < limits.batch_bytes for counter in receiver.counters.values())
    ):
        receiver.slice = min(2 * receiver.slice, limits.batch_items)
