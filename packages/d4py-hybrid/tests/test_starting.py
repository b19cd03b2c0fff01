"""Workers start by fork, fork server or spawn, and from any kind of program."""

import threading

import pytest

from d4py_conformance.subprocesses.workflow_files import (
    EXPECTED,
    HELPER,
    LAST,
    WORKFLOW,
    assert_only_the_script_is_blamed,
    script,
)
from d4py_conformance.waiting import LIMIT
from dispel4py import SimpleFunctionPE
from dispel4py.errors import OptionError
from dispel4py.loading import load_graph

METHODS = ["fork", "forkserver", "spawn"]

SCRIPT = script(
    """
    method, url = sys.argv[1:]
    result = run(graph, "hybrid_redis", 4, 2, start_method=method, redis_url=url)
    print(sorted(result.outputs["PE_<lambda>3"]["output"]))
    """
)


@pytest.fixture(autouse=True)
def helper(write):
    """A module beside the workflow."""
    write("helper.py", HELPER)


@pytest.mark.parametrize("method", METHODS)
def test_pes_of_a_workflow_file_reach_every_worker(execute, write, method, monkeypatch):
    graph = load_graph(str(write("some flow.py", WORKFLOW)))
    result = execute(graph, 4, start_method=method)
    assert sorted(result.outputs[LAST]["output"]) == EXPECTED


@pytest.mark.parametrize("method", METHODS)
def test_stateful_pes_and_functions_reach_every_worker(execute, flows, chain, method):
    graph = chain(flows.Samples(), flows.Values(), SimpleFunctionPE(flows.double), flows.Kept())
    result = execute(graph, 4, start_method=method)
    assert result.outputs["Kept3"]["output"] == [[2, 4, 6, 8]]


@pytest.mark.parametrize("method", METHODS)
def test_a_script_runs_its_own_pes(start, write, server, method):
    program = start(write("script.py", SCRIPT), method, server.url)
    status, out, err = program.end()
    assert (status, err) == (0, "")
    assert out == f"{EXPECTED}\n"


@pytest.mark.parametrize("method", [None, *METHODS])
def test_a_prompt_with_threads_runs_its_own_pes(start, server, method):
    code = """
import threading, time
threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
from dispel4py import IterativePE, ProducerPE, WorkflowGraph, run
class One(ProducerPE):
    def _process(self, inputs):
        return 1
graph = WorkflowGraph()
graph.connect(One(), "output", IterativePE(), "input")
class Add(IterativePE):
    def _process(self, number):
        return number + 1
graph = WorkflowGraph()
graph.connect(One(), "output", Add(), "input")
"""
    options = {"redis_url": server.url, **({"start_method": method} if method else {})}
    code += f"print(run(graph, 'hybrid_redis', 2, 2, **{options!r}).outputs)"
    status, out, err = start("-c", code).end()
    assert (status, err) == (0, "")
    assert out == "{'Add1': {'output': [2, 2]}}\n"


@pytest.mark.parametrize("method", ["forkserver", "spawn"])
def test_a_script_that_runs_when_it_is_imported_is_an_error_with_advice(
    start, write, server, method
):
    script = SCRIPT.replace('if __name__ == "__main__":', "if True:")
    program = start(write("script.py", script), method, server.url)
    status, _, err = program.end()
    assert status == 1
    assert_only_the_script_is_blamed(err)
    program.process.wait_until_gone()


def test_a_workflow_file_that_raises_in_a_worker_is_an_error(execute, write, monkeypatch):
    text = "import os\nif 'D4PY_TEST' in os.environ: raise OSError('no data here')\n" + WORKFLOW
    graph = load_graph(str(write("raises.py", text)))
    monkeypatch.setenv("D4PY_TEST", "1")
    with pytest.raises(Exception, match="OSError: no data here"):
        execute(graph, 4, start_method="spawn")


def test_a_program_with_threads_is_not_forked(execute, flows, chain):
    stop = threading.Event()
    lock = threading.Lock()

    def hold():
        while not stop.is_set():
            with lock:
                stop.wait(0.001)

    threads = [threading.Thread(target=hold) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        graph = chain(flows.Numbers(), flows.Kept())
        assert execute(graph, 100, 3).outputs["Kept1"]["output"] == [[*range(1, 101)]]
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def test_a_run_may_be_started_by_a_thread(execute, flows, chain):
    outputs = []
    graph = chain(flows.Numbers(), flows.Kept())
    thread = threading.Thread(target=lambda: outputs.append(execute(graph, 3).outputs))
    thread.start()
    thread.join(LIMIT)
    assert outputs[0]["Kept1"]["output"] == [[1, 2, 3]]


def test_an_unknown_start_method_is_an_error(execute, flows, chain):
    with pytest.raises(OptionError, match=r"the start method is 'clone'; it must be one of 'fork'"):
        execute(chain(flows.Numbers(), flows.Relay()), start_method="clone")
