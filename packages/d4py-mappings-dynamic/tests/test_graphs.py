"""The example workflows on all four mappings, with several numbers of workers."""

import multiprocessing
import re

import pytest

from d4py_conformance.expected.compare import assert_outputs
from d4py_conformance.expected.workflows import WORKFLOWS
from dispel4py import run
from dispel4py.engine.planning.plan import make_plan
from dispel4py.errors import UnsupportedGraphError

STATELESS = [name for name, case in WORKFLOWS.items() if "stateful" not in case.needs]
STATEFUL = [name for name, case in WORKFLOWS.items() if "stateful" in case.needs]
#: One; fewer and more than there are PEs.
PROCESSES = (1, 2, 7)


@pytest.mark.parametrize("name", STATELESS)
def test_d1_a_stateless_workflow_gives_the_same_on_any_number_of_workers(in_processes, name):
    case = WORKFLOWS[name]
    size = case.sizes[-1]
    for processes in PROCESSES:
        result = in_processes(case.graph(), size, processes)
        assert_outputs(result.outputs, case.expected(size))
        assert result.stats.processes == processes


@pytest.mark.parametrize("name", STATEFUL)
def test_d1_a_stateful_workflow_is_refused_before_anything_starts(in_processes, name, monkeypatch):
    def start(*arguments):
        pytest.fail("a process was started")

    monkeypatch.setattr(multiprocessing.process.BaseProcess, "start", start)
    graph = WORKFLOWS[name].graph()
    with pytest.raises(UnsupportedGraphError) as caught:
        in_processes(graph, 1, 2)
    message = str(caught.value)
    for planned in make_plan(graph).pes:
        assert (planned.id in message) == (planned.stateful and not planned.is_root), message
    assert re.search(r"grouping|stateful", message)
    assert "try hybrid_redis, multi, zmq_multi or mpi" in message


@pytest.mark.parametrize("mapping", ["dyn_multi", "dyn_auto_multi", "dyn_redis", "dyn_auto_redis"])
def test_d1_a_graph_is_refused_before_the_server_is_connected(mapping):
    where = {"redis_url": "redis://127.0.0.1:1"} if "redis" in mapping else {}
    with pytest.raises(UnsupportedGraphError):
        run(WORKFLOWS[STATEFUL[0]].graph(), mapping, 1, 2, **where)
