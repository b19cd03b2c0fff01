"""C7, I2 and G5: instances of a large PE have private arrays; the caller's array is unchanged."""

import pytest

from d4py_conformance.pes.common import Numbers
from d4py_conformance.suite import chain, results
from dispel4py import run

np = pytest.importorskip("numpy")
SIZE = 1 << 18


WAYS = {
    "multi": {"mapping": "multi"},
    "forkserver": {"mapping": "multi", "start_method": "forkserver"},
    "spawn": {"mapping": "multi", "start_method": "spawn"},
    "zmq_multi": {"mapping": "zmq_multi"},
    "mpi": {"mapping": "mpi"},
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("instances", "processes"), [(1, 3), (2, 2)], ids=["one", "two-together"])
def test_c7_each_instance_has_a_private_array(flows, way, instances, processes):
    array = np.zeros(SIZE, dtype=np.int64)
    graph = chain(Numbers(), flows.Grows(array, instances), flows.Grows(array, 1))
    result = run(graph, inputs=8, processes=processes, **WAYS[way])
    assert results(result, "Grows2") == [*range(1, 9)]
    assert not array.any()
