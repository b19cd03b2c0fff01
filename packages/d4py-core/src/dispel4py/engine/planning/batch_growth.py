"""`BatchGrowth`: how many items a PE gets in one call of `_process_batch`.

A batch is doubled as long as that lets the PE process more items per second: up to there the
time of a call is mostly the same for any number of items.  Beyond, a larger batch would only make
its items wait for each other.
"""

from __future__ import annotations

from typing import NamedTuple

from dispel4py.core import GenericPE, overrides_batch
from dispel4py.engine.limits import EngineLimits

#: How many times as many items per second a doubled batch must bring.
_GAIN = 1.1


class BatchBounds(NamedTuple):
    """Bounds of the batches of a PE; see `GenericPE.batch_size` and `batch_seconds`."""

    size: int
    seconds: float

    @property
    def waits(self) -> bool:
        """Whether items wait for others."""
        return self.seconds > 0


def bounds_of(pe: GenericPE) -> BatchBounds | None:
    """Return the bounds of the batches of a PE; None if it gets single items."""
    return BatchBounds(int(pe.batch_size), pe.batch_seconds) if overrides_batch(pe) else None


class BatchGrowth:
    """Adapts the size of batches to the time that they take.

        >>> growth = BatchGrowth(BatchBounds(8, 0.0), EngineLimits())
        >>> for seconds in (0.1, 0.1, 0.19):  # the third batch, of 4, takes twice as long
        ...     growth.note(growth.size, seconds)
        >>> growth.size
        4

    Args:
        bounds: bounds of the batches.  Where items wait for others, batches have the full size
            from the beginning.
        limits: limits of the engine.

    Attributes:
        size: most items of the next batch.
    """

    def __init__(self, bounds: BatchBounds, limits: EngineLimits) -> None:
        self._largest = bounds.size
        self._quick_seconds = limits.batch_seconds / 2
        self.size = bounds.size if bounds.seconds else 1
        self._rate = 0.0

    def note(self, count: int, seconds: float, *, is_large: bool = False) -> None:
        """Note that a batch was processed.

        Args:
            count: number of items.
            seconds: duration of the call.
            is_large: its output is so large that there should be no more of it at once.
        """
        if count < self.size or self.size >= self._largest:
            return
        rate = count / max(seconds, 1e-9)
        if seconds >= self._quick_seconds and rate < self._rate * _GAIN:
            return
        self._rate = max(rate, self._rate)
        if not is_large:
            self.size = min(2 * self.size, self._largest)
