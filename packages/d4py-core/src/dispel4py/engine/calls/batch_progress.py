"""`BatchProgress`: which items of the current batch of an instance are done.

Another thread reads it to split the batch while a call of it lasts.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from operator import length_hint
from typing import Any, NamedTuple


class SplitBatch(NamedTuple):
    """A batch that was split during a call.

    Attributes:
        written: how many items of each output are output of calls that are done.
        begun: the items of other calls that were begun.
        not_begun: the remaining items.
    """

    written: list[int]
    begun: list[Any]
    not_begun: list[Any]


class BatchProgress:
    """Records the progress of the current batch.

    Args:
        written: output name → list of written items.

    Attributes:
        batch: the current batch, or the last one.
    """

    def __init__(self, written: dict[str, list[Any]]) -> None:
        self._written = written
        self._remaining: Iterator[Any] = iter(())
        self._done: tuple[int, list[int]] = 0, []
        self.batch: list[Any] = []

    def begin(self, batch: list[Any], remaining: Iterator[Any]) -> None:
        """Begin a batch.

        Args:
            batch: the items.
            remaining: an iterator over the items from which the PE is called.
        """
        self._remaining = remaining
        self.mark(0)
        self.batch = batch  # last: the other thread reads the rest once it sees this batch

    def mark(self, done: int) -> None:
        """Record how many items of the batch are done."""
        self._done = done, [*map(len, self._written.values())]

    def steps(self, step: int) -> Iterator[Iterator[Any]]:
        """Yield the remaining items in steps, each by an iterator, and record what is done."""
        yield islice(self._remaining, step)
        done = step
        while done < len(self.batch):  # which a split shortens
            self.mark(done)
            yield islice(self._remaining, step)
            done += step

    def clear(self) -> None:
        """Drop the last batch."""
        self.batch, self._remaining = [], iter(())

    @property
    def remaining(self) -> int:
        """How many items of the batch were not begun."""
        return length_hint(self._remaining)

    @property
    def has_written(self) -> bool:
        """Whether calls that are done have written something."""
        return any(self._done[1])

    def split(self) -> SplitBatch:
        """Split the batch, from another thread, during a call; only the begun items stay in it."""
        # An atomic step for other threads: no item is both taken here and begun there.
        not_begun = list(self._remaining)
        if not_begun:
            del self.batch[-len(not_begun) :]
        done, written = self._done
        return SplitBatch(written, self.batch[done:], not_begun)
