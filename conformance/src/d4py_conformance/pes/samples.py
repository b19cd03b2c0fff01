"""PEs whose items are objects of a class of their own, and what is called by name or by value.

They live in a module because worker processes have to be able to import them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dispel4py import IterativePE, ProducerPE


class Sample:
    """An item of a class of the workflow.

    Args:
        value: a number.
    """

    def __init__(self, value: int) -> None:
        self.value = value


class Samples(ProducerPE):
    """Sends samples of 1, 2, 3, …, one per call."""

    counter = 0

    def _process(self, inputs: Any) -> Sample:
        self.counter += 1
        return Sample(self.counter)


class Values(IterativePE):
    """Sends the values of samples."""

    def _process(self, data: Any) -> int:
        assert type(data) is Sample
        return data.value


class Makes(IterativePE):
    """Sends what a function makes of each item.

    Args:
        function: the function.
    """

    def __init__(self, function: Callable[[Any], Any]) -> None:
        super().__init__()
        self.function = function

    def _process(self, data: Any) -> Any:
        return self.function(data)


def double(number: int) -> int:
    """Return twice a number, as the function of a `SimpleFunctionPE`."""
    return 2 * number
