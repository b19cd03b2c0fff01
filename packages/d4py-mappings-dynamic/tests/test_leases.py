"""Workers without a heartbeat: those on this machine whose processes run are not evicted."""

import ctypes
import os
import signal
from contextlib import suppress
from pathlib import Path

import pytest

from dispel4py import IterativePE, ProducerPE, WorkflowGraph, run

pytestmark = pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks at /proc")

#: Seconds of a lease, and of a call that is longer.
LEASE, LONG = 1.1, 2.4


class Numbers(ProducerPE):
    number = 0

    def _process(self, inputs):
        self.number += 1
        return self.number


class KeepsLock(IterativePE):
    """Spends a long call in C code that keeps Python's lock, as routines wrapped by f2py do."""

    def _process(self, data):
        if data == 2:
            ctypes.PyDLL(None).usleep(int(LONG * 1e6))
        return data


class StopsOnce(IterativePE):
    """Stops its process at its first item, as a debugger does.

    Args:
        path: a file that says that it has.
    """

    def __init__(self, path):
        super().__init__()
        self.path = path

    def _process(self, data):
        with suppress(FileExistsError):  # of two workers at their first item, one does
            self.path.touch(exist_ok=False)
            os.kill(os.getpid(), signal.SIGSTOP)
        return data


@pytest.fixture(params=["dyn_redis", "hybrid_redis"])
def execute(request, server):
    """Runs five numbers through a PE, with a short lease."""

    def execute(pe):
        pe.stateful = request.param == "hybrid_redis"
        graph = WorkflowGraph()
        graph.connect(Numbers(), "output", pe, "input")
        result = run(graph, request.param, 5, 2, redis_url=server.url, lease=LEASE)
        assert sorted(result.outputs[f"{type(pe).__name__}1"]["output"]) == [1, 2, 3, 4, 5]
        return result.stats.notes

    return execute


def test_c5_a_call_may_hold_the_gil_for_longer_than_the_lease(execute):
    assert execute(KeepsLock()) == []


def test_c5_a_stopped_worker_is_evicted(execute, tmp_path):
    (note,) = execute(StopsOnce(tmp_path / "stopped"))
    assert "no heartbeat" in note
