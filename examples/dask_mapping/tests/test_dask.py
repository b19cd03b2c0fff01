"""The mapping `dask` keeps the rules, on a cluster that all tests share and on one of its own."""

import os
import re
import signal
import subprocess
import sys
import threading

import psutil
import pytest
from distributed import Client

from d4py_conformance import MappingConformance
from d4py_conformance.pes.common import Numbers, Relay
from d4py_conformance.subprocesses.programs import Command
from d4py_conformance.suite import chain
from d4py_conformance.waiting import wait_until
from d4py_dask.instance import THREAD
from d4py_dask.run import spread
from dispel4py import run
from dispel4py.errors import ServiceError
from dispel4py.mapping import make_plan


class TestDask(MappingConformance):
    timeout = 180.0  # the first test starts the cluster, whose processes import Dask

    @pytest.fixture
    def mapping(self):
        return "dask"

    @pytest.fixture
    def options(self, cluster):
        return {"scheduler": cluster.scheduler_address}


def instance_threads():
    """Return the threads of the instances that run in this process."""
    return {thread.ident for thread in threading.enumerate() if thread.name == THREAD}


def has_more(client, before):
    """Return whether there are instances that were not there before."""
    now = client.run(instance_threads)
    return any(now[worker] - before.get(worker, set()) for worker in now)


def test_a_cluster_is_started_for_a_run_and_leaves_no_process():
    before = set(psutil.Process().children(recursive=True))

    result = run(chain(Numbers(), Relay()), "dask", 3, processes=2)

    assert sorted(result.outputs["Relay1"]["output"]) == [1, 2, 3]
    left = set(psutil.Process().children(recursive=True)) - before
    assert not [process for process in left if "resource_tracker" not in str(process.cmdline())]


def test_no_cluster_at_the_address_is_an_error_that_says_so():
    with pytest.raises(ServiceError, match=r"tcp://127\.0\.0\.1:9"):
        run(chain(Numbers(), Relay()), "dask", 3, scheduler="tcp://127.0.0.1:9")


GUARDLESS = """
from d4py_conformance.pes.common import Numbers, Relay
from d4py_conformance.suite import chain
from dispel4py import run

run(chain(Numbers(), Relay()), "dask", 3, processes=2)
"""


def test_a_script_without_a_guard_is_answered_with_its_own_line_and_what_to_do(tmp_path):
    path = tmp_path / "script.py"
    path.write_text(GUARDLESS)
    done = subprocess.run(
        [sys.executable, path], capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 1
    assert "below: if __name__ == '__main__':" in done.stderr.splitlines()[-1]
    assert re.findall(r'File "(.*?)"', done.stderr) == [str(path)]


def test_each_worker_has_an_instance_of_a_pe_without_state():
    stateful = Relay()
    stateful.stateful = True
    two = Relay()
    two.numprocesses = 2

    plan = spread(make_plan(chain(Numbers(), Relay(), stateful, two)), 5)

    assert [pe.instances for pe in plan.pes] == [1, 5, 1, 2]


ENDLESS = """
import sys
from d4py_conformance.pes.common import Numbers
from d4py_conformance.suite import chain
from dispel4py import IterativePE, run

class Touches(IterativePE):
    def __init__(self, path):
        super().__init__()
        self.path = path

    def _process(self, data):
        open(self.path, "w").close()
        return data

run(chain(Numbers(), Touches(sys.argv[2])), "dask", 10**12, scheduler=sys.argv[1])
"""


def test_c4_instances_end_with_a_driver_that_was_killed(cluster, tmp_path):
    with Client(cluster) as client:
        # Instances of other tests may be in calls that go on.
        before = client.run(instance_threads)
        called = tmp_path / "called"
        program = [sys.executable, "-c", ENDLESS, cluster.scheduler_address, str(called)]
        driver = Command(program, os.environ)
        wait_until(called.exists, "a call of the PE")
        assert has_more(client, before)

        driver.send_signal(signal.SIGKILL)
        driver.wait()

        wait_until(lambda: not has_more(client, before), "the end of instances")
