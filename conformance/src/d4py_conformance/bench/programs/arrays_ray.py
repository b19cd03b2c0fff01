"""The same arrays with Ray: an actor per stage, and references in between."""

from __future__ import annotations

from time import perf_counter
from typing import Any

import numpy
import ray
from report import arguments, report
from workloads import ARRAY, HOPS

#: Arrays on their way at a time.
_WINDOW = 64


class Stage:
    """Makes, relays or reads arrays."""

    def make(self, number: int) -> Any:
        """Return a new array."""
        return numpy.full(ARRAY, float(number))

    def relay(self, array: Any) -> Any:
        """Return an array of its own, as it comes."""
        return array

    def read(self, array: Any) -> float:
        """Return the first number."""
        return float(array[0])


def main() -> None:
    """Run it."""
    _, count = arguments()
    ray.init(num_cpus=HOPS + 1, include_dashboard=False, log_to_driver=False)
    stages = [ray.remote(Stage).remote() for _ in range(HOPS + 1)]
    ray.get([stage.make.remote(0) for stage in stages])  # they have started
    started_at = perf_counter()
    arriving: list[Any] = []
    total = 0.0
    for number in range(1, count + 1):
        reference = stages[0].make.remote(number)
        for stage in stages[1:-1]:
            reference = stage.relay.remote(reference)
        arriving.append(stages[-1].read.remote(reference))
        if len(arriving) >= _WINDOW:
            total += ray.get(arriving.pop(0))
    total += sum(ray.get(arriving))
    report(perf_counter() - started_at, total)


if __name__ == "__main__":
    main()
