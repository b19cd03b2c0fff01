"""The command in Pyodide, Python in WebAssembly as browsers run it; here under Node.js.

`make test-pyodide` brings it along.  Starting it takes seconds, so one process runs all commands.
"""

import ast
import json
import os
import subprocess
from pathlib import Path

import pytest

from d4py_conformance import WORKFLOWS
from d4py_conformance.expected.compare import assert_outputs
from dispel4py.registry import KNOWN_DISTRIBUTIONS

#: What .ci/pyodide has filled.
FOLDER = os.environ.get("D4PY_TEST_PYODIDE")
PROGRAM = Path(__file__).parent / "pyodide" / "commands.mjs"
ITEMS = 25
PARALLEL = sorted(KNOWN_DISTRIBUTIONS.keys() - {"simple"})
FAILS = """
from dispel4py import IterativePE, WorkflowGraph

class Divides(IterativePE):
    def _process(self, data):
        return 1 / data

graph = WorkflowGraph()
graph.add(Divides())
"""
NUMBERS = '{"Divides": [{"input": 2}, {"input": 4}]}'
COMMANDS = {
    **{name: ["simple", name, "-i", str(ITEMS), "-q"] for name in WORKFLOWS},
    **{name: [name, "pipeline_test", "-n", "3"] for name in PARALLEL},
    "fails": ["simple", "fails.py", "-d", '{"Divides": [{"input": 0}]}'],
    "file": ["simple", "fails.py", "-d", NUMBERS, "--output", "halves.jsonl"],
    "progress": ["simple", "fails.py", "-d", NUMBERS, "--progress", "60"],
    "mappings": ["mappings"],
    "check": ["check", "fails.py"],
}

pytestmark = [
    pytest.mark.skipif(FOLDER is None, reason="make test-pyodide runs it"),
    pytest.mark.timeout(300),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pyodide")
    (folder / "fails.py").write_text(FAILS)
    return folder


@pytest.fixture(scope="module")
def done(folder):
    """Name of a command → its exit status, output and error output."""
    process = subprocess.run(
        ["node", PROGRAM, Path(FOLDER).absolute()],
        cwd=folder,
        input=json.dumps([*COMMANDS.values()]),
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 0, process.stderr[-3000:]
    return dict(zip(COMMANDS, json.loads(process.stdout.splitlines()[-1]), strict=True))


@pytest.mark.parametrize("name", WORKFLOWS)
def test_each_workflow_gives_its_results(done, name):
    status, out, err = done[name]
    assert status == 0, err
    outputs = ast.literal_eval(out.removeprefix("Outputs: "))
    assert_outputs(outputs, WORKFLOWS[name].expected(ITEMS))


@pytest.mark.parametrize("name", PARALLEL)
def test_mappings_that_need_processes_or_threads_say_so(done, name):
    needed = "threads" if name == "threads" else "processes"
    assert done[name] == [
        2,
        "",
        f"dispel4py: error: mapping '{name}' needs {needed}, which Python on emscripten lacks;"
        " use the mapping 'simple'\n",
    ]


def test_an_error_has_the_users_traceback(done):
    status, _, err = done["fails"]
    assert status == 1
    assert "ZeroDivisionError" in err
    assert "return 1 / data" in err


def test_results_go_to_a_file(done, folder):
    status, _, err = done["file"]
    assert status == 0, err
    lines = (folder / "halves.jsonl").read_text().splitlines()
    assert [json.loads(line)["data"] for line in lines] == [0.5, 0.25]


def test_progress_which_needs_threads_is_refused(done):
    status, out, err = done["progress"]
    assert (status, out) == (2, "")
    assert "progress need threads, which Python on emscripten lacks; run it without" in err


@pytest.mark.parametrize(("name", "word"), [("mappings", "simple"), ("check", "Divides")])
def test_tables_are_shown(done, name, word):
    status, out, err = done[name]
    assert status == 0, err
    assert word in out
