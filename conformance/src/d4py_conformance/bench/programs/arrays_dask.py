"""The same arrays with Dask: a task per array and stage, each stage on a worker of its own."""

from __future__ import annotations

from time import perf_counter
from typing import Any

import numpy
from distributed import Client, LocalCluster
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
    with (
        LocalCluster(HOPS + 1, threads_per_worker=1, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        client.wait_for_workers(HOPS + 1)
        workers = [*client.scheduler_info(n_workers=-1)["workers"]]
        started_at = perf_counter()
        arriving: Any = [*range(1, count + 1)]
        for function, worker in zip([make, *[relay] * (HOPS - 1), read], workers, strict=True):
            arriving = client.map(function, arriving, workers=[worker], pure=False)
        total = sum(client.gather(arriving))
        report(perf_counter() - started_at, total)


if __name__ == "__main__":
    main()
