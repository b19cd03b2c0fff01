"""Streams on Dask beside plain futures on the same cluster: tiny items, and tasks of 100 ms."""

import time

import pytest
from distributed import Client, LocalCluster

from d4py_conformance.bench.measure import by_turns, clock
from d4py_conformance.pes.common import Numbers
from d4py_conformance.suite import chain
from dispel4py import IterativePE, run

WORKERS = 4


def twice(number, seconds=0.0):
    time.sleep(seconds)
    return 2 * number


class Twice(IterativePE):
    def __init__(self, seconds):
        super().__init__()
        self.seconds = seconds

    def _process(self, data):
        return twice(data, self.seconds)


@pytest.fixture(scope="module")
def client():
    with (
        LocalCluster(n_workers=WORKERS, threads_per_worker=1, dashboard_address=":0") as cluster,
        Client(cluster) as client,
    ):
        yield client


@pytest.mark.benchmark(timer=clock)
@pytest.mark.parametrize(("items", "seconds"), [(5_000, 0.0), (100, 0.1)])
def test_dask(benchmark, capsys, client, items, seconds):
    def ours():
        graph = chain(Numbers(), Twice(seconds))
        started_at = time.perf_counter()
        result = run(graph, "dask", items, WORKERS, scheduler=client.scheduler.address)
        assert len(result.outputs["Twice1"]["output"]) == items
        return time.perf_counter() - started_at

    def futures():
        started_at = time.perf_counter()
        results = client.gather(client.map(twice, range(items), seconds=seconds, pure=False))
        assert len(results) == items
        return time.perf_counter() - started_at

    benchmark.group = f"{items} items, {1000 * seconds:.0f} ms each"
    by_turns(benchmark, capsys, "s", ours, futures=futures)
