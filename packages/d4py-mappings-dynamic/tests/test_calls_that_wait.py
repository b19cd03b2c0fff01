"""M4: what a root has written arrives while its call goes on, for however long that waits."""

import pytest

from d4py_conformance.pes.common import MakesFile, WritesAndWaits
from d4py_conformance.suite import chain
from dispel4py import run


@pytest.mark.parametrize("mapping", ["dyn_multi", "dyn_auto_multi", "dyn_redis", "dyn_auto_redis"])
@pytest.mark.parametrize("count", [1, 5])
@pytest.mark.parametrize("independent", [False, True])
def test_m4_what_a_call_has_written_arrives_while_it_waits(mapping, count, independent, tmp_path):
    path = tmp_path / "arrived"
    root = WritesAndWaits(count, path)
    root.independent_calls = independent
    graph = chain(root, MakesFile(count - 1, path))
    result = run(graph, mapping, 1, processes=2)
    assert sorted(result.outputs["MakesFile1"]["output"]) == [*range(count)]
