"""PEs that cannot be pickled are taken from the graph that a process makes for itself."""

import sys
import textwrap

import pytest

from dispel4py import loading
from dispel4py.loading import Origin, load_module
from dispel4py.pickling.rebuilding import LocalPE, can_be_rebuilt, rebuild_pes

WORKFLOW = """
import threading
from dispel4py import IterativePE, ProducerPE, WorkflowGraph

class Locks(IterativePE):
    def __init__(self):
        super().__init__()
        self.lock = threading.Lock()

inner = WorkflowGraph()
last = Locks()
inner.add(last)
inner.inputmappings["input"] = (last, "input")
graph = WorkflowGraph()
graph.connect(ProducerPE(), "output", inner, "input")
"""


@pytest.fixture
def loaded(tmp_path, monkeypatch):
    """The workflow, as the command has loaded it."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(loading, "_SOURCES", {})
    (tmp_path / "locks.py").write_text(textwrap.dedent(WORKFLOW))
    loaded = load_module(str(tmp_path / "locks.py"))
    yield loaded
    del sys.modules[loaded.module.__name__]


def test_a_graph_is_found_by_the_names_of_its_module_and_its_own(loaded):
    assert loaded.origin(loaded.graph()) == Origin("locks", "graph")
    assert loaded.origin(loaded.module.inner) == Origin("locks", "inner")


def test_one_that_the_module_does_not_name_is_not(loaded):
    assert loaded.origin(loaded.graph().flatten()) is None


def test_its_pes_are_numbered_as_in_the_plan(loaded):
    pes = rebuild_pes(Origin("locks", "graph"))
    assert [pe.name for pe in pes] == ["ProducerPE", "Locks"]
    assert pes[1] is loaded.module.last


def test_a_pe_with_an_open_file_is_not_rebuilt(loaded, tmp_path):
    pe = loaded.module.last
    assert can_be_rebuilt(pe)
    with open(tmp_path / "locks.py") as pe.file:
        assert not can_be_rebuilt(pe)
    assert can_be_rebuilt(pe)


def test_a_process_has_one_instance_of_its_own_pe(loaded):
    make = LocalPE(loaded.module.last)
    assert make() is loaded.module.last
    with pytest.raises(AssertionError):
        make()
