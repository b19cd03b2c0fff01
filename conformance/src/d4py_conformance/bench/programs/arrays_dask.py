"""The same arrays with Dask: a task per array and stage, each stage on a worker of its own."""

from __future__ import annotations

from time import perf_counter
from typing import Any

from array_stages import make, read, relay
from distributed import Client, LocalCluster
from report import arguments, report
from workloads import HOPS


def main() -> None:
    """Run it."""
    _, count = arguments()
    with (
        LocalCluster(n_workers=HOPS + 1, threads_per_worker=1, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        client.wait_for_workers(HOPS + 1, timeout=120)
        workers = [*client.scheduler_info(n_workers=-1)["workers"]]
        started_at = perf_counter()
        arriving: Any = [*range(1, count + 1)]
        for function, worker in zip([make, *[relay] * (HOPS - 1), read], workers, strict=True):
            arriving = client.map(function, arriving, workers=[worker], pure=False)
        total = sum(client.gather(arriving))
        report(perf_counter() - started_at, total)


if __name__ == "__main__":
    main()
