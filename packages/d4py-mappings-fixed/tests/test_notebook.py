"""Definitions of a notebook run on every mapping, also when cells are executed again."""

import ast
import re

import pytest

pytest.importorskip("ipykernel")

#: Starts a kernel, as a notebook does, lets it execute cells, and prints their output.
NOTEBOOK = """
import sys
from pathlib import Path
from jupyter_client.manager import start_new_kernel

manager, client = start_new_kernel(kernel_name="python3")
try:
    for cell in Path("cells.txt").read_text().split("# next cell"):
        reply = client.execute_interactive(cell, timeout=60)
        assert reply["content"]["status"] == "ok", reply["content"]
finally:
    client.stop_channels()
    manager.shutdown_kernel(now=True)
    manager.cleanup_resources()
    manager.context.destroy()
"""

CELLS = """
import math
from dispel4py import IterativePE, ProducerPE, SimpleFunctionPE, WorkflowGraph, run
# next cell
class Sample:
    def __init__(self, value):
        self.value = value
# next cell
class Make(ProducerPE):
    counter = 0
    def _process(self, inputs):
        self.counter += 1
        return Sample(self.counter)

class Add(IterativePE):
    def _process(self, sample):
        assert type(sample) is Sample
        return Sample(math.floor(sample.value + offset))
# next cell
offset = 10

def scaled(factor):
    return lambda sample: Sample(factor * sample.value)

def flow():
    graph = WorkflowGraph()
    add, scale = Add(), SimpleFunctionPE(scaled(2))
    graph.connect(Make(), "output", add, "input")
    graph.connect(add, "output", scale, "input")
    graph.connect(scale, "output", SimpleFunctionPE(lambda sample: sample), "input")
    return graph
# next cell
def show(**options):
    samples = run(flow(), inputs=3, **options).outputs["PE_<lambda>3"]["output"]
    print([type(sample) is Sample and sample.value for sample in samples])

show(mapping=MAPPING)
# next cell
offset = 20
class Sample:
    def __init__(self, value):
        self.value = value

show(mapping=MAPPING)
"""

PRINTING = """
from dispel4py import IterativePE, ProducerPE, WorkflowGraph, run

class One(ProducerPE):
    def _process(self, inputs):
        return 1

class Prints(IterativePE):
    def _process(self, data):
        print("a", "line", "of", "many", "pieces")
        try:
            input("a question\\n")
        except EOFError:
            print("an end")

graph, prints = WorkflowGraph(), Prints()
prints.numprocesses = 3
graph.connect(One(), "output", prints, "input")
done = run(graph, inputs=20, processes=4, mapping="multi")
"""


@pytest.fixture(
    params=["multi", *(pytest.param(name, marks=pytest.mark.slow) for name in ("zmq_multi", "mpi"))]
)
def mapping(request, installed):
    """Name of a mapping."""
    return installed(request.param)


def test_all_ranks_can_load_definitions_of_a_notebook(start, write, mapping):
    write("notebook.py", NOTEBOOK)
    write("cells.txt", CELLS.replace("MAPPING", repr(mapping)))
    program = start("notebook.py")
    status, out, err = program.end()
    assert status == 0, err
    assert [ast.literal_eval(line) for line in out.splitlines()] == [[22, 24, 26], [42, 44, 46]]
    program.process.wait_until_gone()


def test_i11_workers_print_whole_lines_and_read_no_input(start, write):
    write("notebook.py", NOTEBOOK)
    write("cells.txt", PRINTING)
    status, out, err = start("notebook.py").end()
    assert status == 0, err
    expected = ["a line of many pieces", "a question", "an end"] * 20
    assert sorted(out.splitlines()) == sorted(expected)
    assert err.count("Prints1 reads standard input") == 1


FAILING = """
from dispel4py import IterativePE, ProducerPE, WorkflowGraph, run

class Make(ProducerPE):
    def _process(self, inputs):
        return 1

class Fail(IterativePE):
    def _process(self, data):
        return {}["of the cell"]

graph = WorkflowGraph()
graph.connect(Make(), "output", Fail(), "input")
# next cell
for options in {"start_method": "fork"}, {"start_method": "forkserver"}:
    try:
        run(graph, "multi", **options)
    except Exception:
        get_ipython().showtraceback()
print(run(graph, on_error="skip").failures[0].error.user_traceback)
"""


def test_c3_the_line_of_the_cell_at_which_a_pe_failed_is_shown(start, write):
    write("notebook.py", NOTEBOOK)
    write("cells.txt", FAILING)
    status, out, err = start("notebook.py").end()
    assert status == 0, err
    shown = re.sub(r"\x1b\[[\d;]*m", "", err)
    assert shown.count("Fail1 (instance 0) failed in process at item 1: KeyError") == 2
    line = r"  Cell In\[1\], line \d+, in _process\n    return {}\[.of the cell.\]"
    assert len(re.findall(line, shown)) == 2
    assert re.search(line, out), "the text of a failure"
    assert "driver.py" not in shown
