"""The mapping `dask` keeps the rules, on a cluster that all tests share and on one of its own."""

import psutil
import pytest

from d4py_conformance import MappingConformance
from d4py_conformance.pes.common import Numbers, Relay
from d4py_conformance.suite import chain
from dispel4py import run
from dispel4py.errors import ServiceError

# In an environment of its own: hatch run dask:run
LocalCluster = pytest.importorskip("distributed").LocalCluster


@pytest.fixture(scope="session")
def cluster():
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as cluster:
        yield cluster


class TestDask(MappingConformance):
    @pytest.fixture
    def mapping(self):
        return "dask"

    @pytest.fixture
    def options(self, cluster):
        return {"dask_scheduler": cluster.scheduler_address}

    @pytest.mark.xfail(reason="its actors are asked for statistics at the end only", strict=True)
    def test_c1_progress_is_reported_while_a_run_goes_on(self, execute):
        super().test_c1_progress_is_reported_while_a_run_goes_on(execute)

    @pytest.mark.xfail(reason="its actors report when a call has returned", strict=True)
    def test_c8_a_long_call_is_reported_before_it_ends(self, execute):
        super().test_c8_a_long_call_is_reported_before_it_ends(execute)


def test_a_cluster_is_started_for_a_run_and_leaves_no_process():
    before = set(psutil.Process().children(recursive=True))

    result = run(chain(Numbers(), Relay()), "dask", 3, processes=2)

    assert result.outputs == {"Relay1": {"output": [1, 2, 3]}}
    left = set(psutil.Process().children(recursive=True)) - before
    assert not [process for process in left if "resource_tracker" not in str(process.cmdline())]


def test_no_cluster_at_the_address_is_an_error_that_says_so():
    with pytest.raises(ServiceError, match=r"tcp://127\.0\.0\.1:9"):
        run(chain(Numbers(), Relay()), "dask", 3, dask_scheduler="tcp://127.0.0.1:9")
