"""The PEs of rules I6 and I7: with state, declared or not, and with random numbers.

They live in a module of their own because worker processes have to be able to import them.
"""

from __future__ import annotations

import os
import random
import threading
from functools import cached_property
from pathlib import Path
from typing import Any

from d4py_conformance.pes.common import Relay
from d4py_conformance.pes.crashing import crash_once
from dispel4py import IterativePE, ProducerPE


class RunningMean(IterativePE):
    """Sends the mean of the items so far, without declaring its state."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0
        self.total = 0.0

    def _process(self, data: float) -> float:
        self.count += 1
        self.total += data
        return self.total / self.count


class Best(Relay):
    """Sends what it gets, and keeps the numbers from some number on."""

    def __init__(self, least: int) -> None:
        super().__init__()
        self.least = least
        self.best: list[int] = []

    def _process(self, data: int) -> int:
        if data >= self.least:
            self.best.append(data)
        return data


class DeclaredMean(RunningMean):
    """The same, with its state declared."""

    stateful = True


class Careful(IterativePE):
    """Sends the square of what it gets, and changes nothing on which that depends."""

    ignored_state = ("seen", "squares")

    def __init__(self) -> None:
        super().__init__()
        self.seen = 0
        self.squares: dict[int, int] = {}
        self.power: int | None = None

    @cached_property
    def two(self) -> int:
        """A number that takes long to find out."""
        return 2

    def _process(self, data: int) -> int:
        self.seen += 1
        if self.power is None:
            self.power = self.two
        if data not in self.squares:
            self.squares[data] = data**self.power
        return self.squares[data]


def place() -> tuple[int, int]:
    """Return where this is called: number of the process, and of the thread."""
    return os.getpid(), threading.get_ident()


class Draws(ProducerPE):
    """Sends a number from Python's generator, and where it was drawn, in each call."""

    def _process(self, inputs: Any) -> Any:
        return random.getrandbits(64), place()


class AddsDraw(IterativePE):
    """Adds to what it gets a number of its own, and sends that with where it was drawn."""

    single = True

    def _process(self, data: Any) -> Any:
        return (*data, random.random(), place())


class AddsNumpyDraw(AddsDraw):
    """The same with a number from NumPy's generator, which it imports when it first needs it."""

    def _process(self, data: Any) -> Any:
        import numpy as np

        return (*data, float(np.random.normal()), place())


class DrawsAtTheEnds(IterativePE):
    """Sends a number before it gets anything, and one after all else."""

    def __init__(self, numprocesses: int = 1) -> None:
        super().__init__()
        self.numprocesses = numprocesses

    def _preprocess(self) -> None:
        self.write("output", random.getrandbits(64))

    def _postprocess(self) -> None:
        self.write("output", random.getrandbits(64))


class CrashingDraws(ProducerPE):
    """Sends its number and one from Python's generator; its worker is killed at one of them."""

    def __init__(self, marker: Path | None = None, at: int = 0) -> None:
        super().__init__()
        self.marker, self.at, self.number = marker, at, 0

    def _process(self, inputs: Any) -> tuple[int, int]:
        self.number += 1
        number = random.getrandbits(64)
        if self.marker is not None and self.number == self.at:
            crash_once(self.marker)
        return self.number, number
