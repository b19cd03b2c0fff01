"""display: text in a terminal, a picture in a notebook."""

import base64
import sys
import types

import pytest

from dispel4py import ProducerPE, WorkflowGraph, visualisation
from dispel4py.drawing import DotMissingError, draw
from dispel4py.visualisation import display


@pytest.fixture
def graph():
    graph = WorkflowGraph()
    graph.add(ProducerPE())
    return graph


@pytest.fixture
def notebook(monkeypatch):
    """What a front end of IPython is given to show."""
    shown = []
    ipython = types.ModuleType("IPython")
    ipython.get_ipython = object
    ipython.display = types.ModuleType("IPython.display")
    ipython.display.display = lambda data, raw: shown.append((data, raw))
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setitem(sys.modules, "IPython.display", ipython.display)
    return shown


def test_outside_ipython_the_text_is_printed(graph, monkeypatch, capsys):
    monkeypatch.delitem(sys.modules, "IPython", raising=False)
    display(graph)
    assert capsys.readouterr().out == draw(graph)
    assert "IPython" not in sys.modules


def test_ipython_imported_but_not_running_does_not_count(graph, notebook, capsys):
    sys.modules["IPython"].get_ipython = lambda: None
    display(graph)
    assert capsys.readouterr().out == draw(graph)
    assert notebook == []


def test_a_notebook_gets_a_picture_and_the_text(graph, notebook, monkeypatch, capsys):
    monkeypatch.setattr(visualisation, "drawDot", lambda graph: b"picture")
    display(graph)
    picture = base64.b64encode(b"picture").decode()
    assert notebook == [({"text/plain": draw(graph), "image/png": picture}, True)]
    assert capsys.readouterr().out == ""


def test_a_notebook_without_dot_gets_the_text_and_the_reason(graph, notebook, monkeypatch):
    def missing(graph):
        raise DotMissingError("install graphviz")

    monkeypatch.setattr(visualisation, "drawDot", missing)
    display(graph)
    ((shown, _),) = notebook
    assert shown == {"text/plain": draw(graph) + "# install graphviz\n"}
