"""The same arrays with pypeln: a process per stage."""

from __future__ import annotations

from time import perf_counter
from typing import Any

import numpy
import pypeln.process as pl
from report import arguments, report
from workloads import ARRAY, HOPS


def make(number: int) -> Any:
    """Return a new array."""
    return numpy.full(ARRAY, float(number))


def relay(array: Any) -> Any:
    """Return an array."""
    return array


def read(array: Any) -> float:
    """Return the first number."""
    return float(array[0])


def main() -> None:
    """Run it."""
    _, count = arguments()
    started_at = perf_counter()
    stage = pl.map(make, range(1, count + 1), workers=1, maxsize=16)
    for _ in range(HOPS - 1):
        stage = pl.map(relay, stage, workers=1, maxsize=16)
    total = sum(pl.map(read, stage, workers=1, maxsize=16))
    report(perf_counter() - started_at, total)


if __name__ == "__main__":
    main()
