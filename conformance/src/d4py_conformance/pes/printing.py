"""PEs that print and read: what comes to where a run was asked for, and what comes from there."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from dispel4py import IterativePE, ProducerPE


class Prints(IterativePE):
    """Prints a line for each item, and sends it.

    Args:
        lengths: how long the lines are, in turn.
        instances: how many instances there are.
        fails_at: the item at which it raises, after its line.
    """

    def __init__(
        self, lengths: Sequence[int] = (20,), instances: int = 1, fails_at: int | None = None
    ) -> None:
        super().__init__()
        self.numprocesses = instances
        self.lengths = lengths
        self.fails_at = fails_at

    def _process(self, data: int) -> int:
        print(*_words(data, self.lengths))
        if data == self.fails_at:
            raise ValueError("the printer is broken")
        return data


def printed(item: int, lengths: Sequence[int] = (20,)) -> str:
    """Return the line that `Prints` prints for an item."""
    return " ".join(map(str, _words(item, lengths)))


def _words(item: int, lengths: Sequence[int]) -> tuple[Any, ...]:
    return "item", item, "x" * lengths[item % len(lengths)], "and no more"


class ReadsInput(ProducerPE):
    """Sends the lines of standard input."""

    def _process(self, inputs: Any) -> None:
        for line in sys.stdin:
            self.write("output", line.strip())
