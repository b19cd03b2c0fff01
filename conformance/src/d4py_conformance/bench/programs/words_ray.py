"""The same counting with Ray: three actors that get batches."""

from __future__ import annotations

from itertools import islice
from time import perf_counter

import ray
from report import arguments, report
from workloads import BATCH, COUNTERS, add, by_counter, words


class Counter:
    """Counts words."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}

    def add(self, pairs: list[tuple[str, int]]) -> None:
        """Count a batch."""
        add(self.counts, pairs)

    def total(self) -> int:
        """Return how many there were."""
        return sum(self.counts.values())


def main() -> None:
    """Run it."""
    _, count = arguments()
    ray.init(num_cpus=COUNTERS + 1, include_dashboard=False, log_to_driver=False)
    counters = [ray.remote(Counter).remote() for _ in range(COUNTERS)]
    ray.get([counter.total.remote() for counter in counters])  # they have started
    started_at = perf_counter()
    pairs = iter(words(count))
    while batch := [*islice(pairs, BATCH)]:
        for counter, part in zip(counters, by_counter(batch), strict=True):
            counter.add.remote(part)
    total = sum(ray.get([counter.total.remote() for counter in counters]))
    report(perf_counter() - started_at, total)


if __name__ == "__main__":
    main()
