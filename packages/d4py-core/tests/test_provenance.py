"""`GenericPE.provenance`: an observer gets what PEs declare, and nobody else sees it."""

import os
from pathlib import Path

import pytest

from dispel4py import ProducerPE, WorkflowGraph, run
from dispel4py.events import FilesDeclared


class Declare(ProducerPE):
    def _process(self, inputs):
        self.provenance(used="in.csv")
        self.provenance(used=[Path("/data/a"), "https://example.org/b"], generated=Path("out.csv"))


class Keep:
    def __init__(self):
        self.events = []

    def on_event(self, event):
        self.events.append(event)


def graph():
    made = WorkflowGraph()
    made.add(Declare())
    return made


def test_an_observer_gets_what_a_pe_declares(capsys):
    keep = Keep()
    run(graph(), observers=[keep])
    first, second = [event for event in keep.events if isinstance(event, FilesDeclared)]
    assert (first.pe, first.used, first.generated) == ("Declare0", (os.path.abspath("in.csv"),), ())
    assert second.used == ("/data/a", "https://example.org/b")
    assert second.generated == (os.path.abspath("out.csv"),)
    assert capsys.readouterr().err == ""


def test_without_an_observer_nothing_is_shown(capsys):
    run(graph())
    assert capsys.readouterr().err == ""


def test_the_module_of_dispel4py_says_what_replaces_it():
    with pytest.raises(ImportError, match="run with --provenance DIR"):
        from dispel4py.provenance import ProvenanceType  # noqa: F401
