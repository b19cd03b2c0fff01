"""A class of the user's raises while a PE or an item is copied: an error that names it, always."""

import pytest

from dispel4py import IterativePE, ProducerPE, WorkflowGraph, run
from dispel4py.engine.items.codec import Codec
from dispel4py.engine.planning.plan import make_plan
from dispel4py.engine.planning.plan_bundle import make_bundle
from dispel4py.errors import GraphError, ItemError, ProcessingError, RunError, describe_exception


class MuteError(Exception):
    """Cannot say what it is about."""

    def __str__(self):
        raise ValueError("no text")


#: What a method raises → how it is described.
RAISED = {
    "exit": (SystemExit(0), "SystemExit: 0"),
    "mute": (MuteError(), "MuteError: <exception str() failed>"),
    "empty": (NotImplementedError(), "NotImplementedError; "),
    "group": (BaseExceptionGroup("two", [KeyboardInterrupt()]), "BaseExceptionGroup: two"),
    "plain": (ValueError("not me"), "ValueError: not me"),
}
raised = pytest.mark.parametrize(("error", "text"), RAISED.values(), ids=RAISED)


class Stubborn:
    """Raises when it is pickled."""

    def __init__(self, error):
        self.error = error

    def __reduce_ex__(self, protocol):
        raise self.error


class StubbornPE(IterativePE):
    """Raises when it is pickled."""

    def __init__(self, error):
        super().__init__()
        self.error = error

    def __reduce_ex__(self, protocol):
        raise self.error


class Unmade(IterativePE):
    """Raises when it is unpickled."""

    error: BaseException

    def __setstate__(self, state):
        raise Unmade.error


class Sends(ProducerPE):
    """Sends an item that cannot be pickled."""

    def __init__(self, kind):
        super().__init__()
        self.kind = kind

    def _process(self, inputs):
        return [Stubborn(RAISED[self.kind][0])]


def graph_of(pe):
    graph = WorkflowGraph()
    graph.connect(ProducerPE(), "output", pe, "input")
    return graph


@raised
def test_i2_a_pe_that_raises_when_it_is_pickled_is_refused_by_name(error, text):
    with pytest.raises(GraphError, match=r"^StubbornPE1: ") as caught:
        run(graph_of(StubbornPE(error)))
    assert f"cannot be handed on: {text}" in str(caught.value)


@raised
def test_i2_so_it_is_where_workers_are_processes(error, text):
    with pytest.raises(GraphError, match=r"^StubbornPE1: ") as caught:
        make_bundle(make_plan(graph_of(StubbornPE(error))), Codec())
    assert f"cannot be handed on: {text}" in str(caught.value)


@raised
def test_a_pe_that_raises_when_it_is_unpickled_is_named(error, text, monkeypatch):
    monkeypatch.setattr(Unmade, "error", error, raising=False)
    bundle = make_bundle(make_plan(graph_of(Unmade())), Codec())
    factory = bundle.load(Codec()).pes[1].factory
    with pytest.raises(RunError, match=r"^a worker process cannot make Unmade1 again: ") as caught:
        factory()
    assert f"{caught.value}; ".split(" again: ")[1].startswith(text)


def test_a_class_that_a_worker_does_not_have_is_answered_with_what_to_do(monkeypatch):
    monkeypatch.setattr(Unmade, "error", AttributeError("no 'Gain'"), raising=False)
    bundle = make_bundle(make_plan(graph_of(Unmade())), Codec())
    with pytest.raises(RunError, match="no 'Gain'; what is defined at a prompt or in a notebook"):
        bundle.load(Codec()).pes[1].factory()


@pytest.mark.parametrize("kind", RAISED)
def test_c3_an_item_that_raises_when_it_is_pickled_is_an_error_of_its_pe(kind):
    graph = WorkflowGraph()
    graph.connect(Sends(kind), "output", IterativePE(), "input")
    with pytest.raises(ProcessingError, match=r"^Sends0 .*ItemError: written to") as caught:
        run(graph)
    assert f"{RAISED[kind][1]}" in str(caught.value)


@raised
def test_c3_so_it_is_where_items_go_to_other_processes(error, text):
    with pytest.raises(ItemError, match=r"^\[.*\] of type list cannot be handed on") as caught:
        Codec().dumps([Stubborn(error)])
    assert text in str(caught.value)


def test_an_exception_is_described_whatever_its_text():
    assert describe_exception(KeyError("a")) == "KeyError: 'a'"
    assert describe_exception(ValueError()) == "ValueError"
    assert describe_exception(MuteError()) == "MuteError: <exception str() failed>"
