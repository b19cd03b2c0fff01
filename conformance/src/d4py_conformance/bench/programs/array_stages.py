"""The stages of the rows with arrays, as functions, for libraries that call such."""

from __future__ import annotations

from typing import Any

import numpy
from workloads import ARRAY


def make(number: int) -> Any:
    """Return a new array."""
    return numpy.full(ARRAY, float(number))


def relay(array: Any) -> Any:
    """Return an array."""
    return array


def read(array: Any) -> float:
    """Return the first number."""
    return float(array[0])
