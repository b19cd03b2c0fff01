"""d4py-core leans on the standard library alone, so that anyone can depend on it."""

import json
import subprocess
import sys
from importlib.metadata import requires
from pathlib import Path

import dispel4py

# Runs in a fresh interpreter without site-packages.  Importing anything that is neither in the
# standard library nor dispel4py is refused and written down, even where the importer expects that.
# (copy and pickle look for Jython's `org`, platform for Windows' `_wmi`, and Python 3.15 for what
# to say of a module of its own that is not there.)
IMPORT_EVERYTHING = """
import importlib, json, pkgutil, sys

class Refuse:
    refused = []

    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if top == "dispel4py" or top in sys.stdlib_module_names:
            return None
        if top not in ("org", "_wmi", "_missing_stdlib_info"):
            self.refused.append([name, module])
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)

module = None
sys.meta_path.insert(0, Refuse())
sys.path.insert(0, sys.argv[1])
imported, failed = [], {}
waiting = ["dispel4py"]
while waiting:
    module = waiting.pop()
    try:
        loaded = importlib.import_module(module)
    except BaseException as error:
        failed[module] = [type(error).__name__, str(error)]
        continue
    imported.append(module)
    if module == loaded.__name__:
        for found in pkgutil.iter_modules(getattr(loaded, "__path__", ()), module + "."):
            waiting.append(found.name)
json.dump({"imported": imported, "failed": failed, "refused": Refuse.refused}, sys.stdout)
"""

# The alias of the example workflows has nothing to stand for where they are not installed.
EXAMPLES = "dispel4py.examples"
#: Modules that answer an import with what to do instead.
ANSWERED = {EXAMPLES, "dispel4py.provenance"}


def import_everything():
    """What a bare interpreter says about importing each module of dispel4py."""
    where = Path(dispel4py.__file__).parent.parent
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", IMPORT_EVERYTHING, str(where)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_every_module_imports_without_third_party_libraries():
    """Old import paths too: where a mapping is missing, only calling it may fail."""
    report = import_everything()

    assert report["imported"], "no module of dispel4py was imported"
    failed = {name: why for name, why in report["failed"].items() if name not in ANSWERED}
    refused = [(name, by) for name, by in report["refused"] if by != EXAMPLES]
    assert failed == {}
    assert refused == [], "(library, module that wants it)"


def test_missing_examples_are_answered_with_the_pip_line():
    report = import_everything()

    assert {name for name, by in report["refused"] if by == EXAMPLES} == {"d4py_examples"}
    kind, message = report["failed"][EXAMPLES]
    assert kind in {"ImportError", "ModuleNotFoundError"}
    assert "pip install d4py-examples" in message


def test_distribution_requires_nothing():
    assert requires("d4py-core") in (None, [])


def test_core_runs_where_no_process_can_be_forked():
    """As on Windows, whose `os` has neither `fork` nor `register_at_fork`."""
    program = """
import os
del os.fork, os.register_at_fork
from dispel4py import ProducerPE, WorkflowGraph, run

class One(ProducerPE):
    def _process(self, inputs):
        return 1

graph = WorkflowGraph()
graph.add(One())
print(run(graph, inputs=2).outputs)
"""
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    assert (ended.stdout, ended.stderr) == ("{'One0': {'output': [1, 1]}}\n", "")
