"""A cluster that all tests share, whose scheduler is a process of its own, too."""

import pytest

# In an environment of its own: make test-dask
distributed = pytest.importorskip("distributed")


@pytest.fixture(scope="session")
def cluster():
    with distributed.SubprocessCluster(
        n_workers=2, worker_kwargs={"nthreads": 1}, scheduler_kwargs={"dashboard": False}
    ) as cluster:
        with distributed.Client(cluster) as client:
            client.wait_for_workers(2)  # at most as long as the first test may take
        yield cluster
