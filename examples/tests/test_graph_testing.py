"""The workflows of graph_testing print what their docstrings say, however they are loaded."""

import doctest
import re
from importlib import import_module
from pathlib import Path

import pytest

import d4py_examples.graph_testing
from dispel4py import run
from dispel4py.loading import load_module

FOLDER = Path(d4py_examples.graph_testing.__file__).parent
NAMES = sorted(
    path.stem for path in FOLDER.glob("*.py") if path.stem not in ("__init__", "testing_PEs")
)
COMMAND = re.compile(r"\$ dispel4py simple (\S+) -i (\d+)\n(Outputs: .*?)\n```", re.DOTALL)
ALIKE = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS


def outputs_said(module):
    """The iterations and the output that a module's docstring shows."""
    name, iterations, text = COMMAND.search(module.__doc__).groups()
    assert name in (module.__name__, module.__name__.rpartition(".")[2])
    return int(iterations), text


def test_all_workflows_are_there():
    assert len(NAMES) == 22


@pytest.mark.parametrize("name", NAMES)
def test_workflow_prints_what_its_docstring_says(name):
    module = import_module(f"d4py_examples.graph_testing.{name}")
    iterations, text = outputs_said(module)
    printed = f"Outputs: {run(module.graph, inputs=iterations).outputs}"
    assert doctest.OutputChecker().check_output(text, printed, ALIKE), printed


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "how", ["{name}", "dispel4py.examples.graph_testing.{name}", "{folder}/{name}.py"]
)
def test_workflow_runs_however_it_is_loaded(name, how, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    graph = load_module(how.format(name=name, folder=FOLDER)).graph()
    expected = run(import_module(f"d4py_examples.graph_testing.{name}").graph, inputs=2).outputs
    assert run(graph, inputs=2).outputs == expected


def test_copied_workflow_file_runs_anywhere(tmp_path):
    copy = tmp_path / "my_split_merge.py"
    copy.write_text((FOLDER / "split_merge.py").read_text())
    assert run(load_module(str(copy)).graph(), inputs=1).outputs == {
        "TestTwoInOneOut3": {"output": ["1", "1"]}
    }
