"""How long a run takes to end after a signal (C4), and after a worker was killed (C5).

Tests show what ends a run; that it takes no longer than the rules allow is seen here.
"""

import signal
from itertools import count

import pytest

from d4py_conformance.pes.children import LongCall
from d4py_conformance.pes.common import Numbers, Relay
from d4py_conformance.pes.crashing import Crashing
from d4py_conformance.pes.traced import Traced
from d4py_conformance.subprocesses.isolated_run import IsolatedRun
from d4py_conformance.suite import chain
from dispel4py.registry import available

ROUNDS = 5


@pytest.fixture
def begin(tmp_path):
    """Starts endless runs; each has begun when its last PE has left a file."""
    numbers, started = count(), []

    def begin(mapping, make_pe):
        if mapping not in available():
            pytest.skip(f"{mapping} is not installed")
        folder = tmp_path / str(next(numbers))
        folder.mkdir()
        graph = chain(Numbers(), Relay(), make_pe(folder / "trace"))
        started.append(IsolatedRun(folder, mapping, graph, 10**12, {}))
        started[-1].wait_for(folder / "trace")
        return (started[-1],), {}

    yield begin
    for isolated in started:
        isolated.kill()


@pytest.mark.parametrize("call", ["short", "long"])
@pytest.mark.parametrize(
    "mapping", ["simple", "multi", "zmq_multi", "mpi", "dyn_multi", "dyn_redis", "hybrid_redis"]
)
def test_c4_from_a_signal_to_the_end(benchmark, begin, mapping, call):
    def stop(isolated):
        isolated.interrupt(signal.SIGTERM)
        assert isolated.wait().status == 130

    def make_pe(trace):
        return Traced(trace) if call == "short" else LongCall(trace, by_program=False)

    benchmark.pedantic(stop, setup=lambda: begin(mapping, make_pe), rounds=ROUNDS)


@pytest.mark.parametrize("mapping", ["multi", "zmq_multi", "mpi"])
def test_c5_from_the_death_of_a_worker_to_the_end(benchmark, begin, mapping):
    def end(isolated):
        assert "WorkerLostError" in isolated.wait().errors

    benchmark.pedantic(
        end, setup=lambda: begin(mapping, lambda trace: Crashing(trace, 20)), rounds=ROUNDS
    )
