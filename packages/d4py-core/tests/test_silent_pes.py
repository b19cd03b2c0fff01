"""A PE that gets items and sends none is noted at the end of a run, once; other PEs are not."""

import logging
from itertools import pairwise

import pytest

from dispel4py import (
    ConsumerPE,
    GenericPE,
    IterativePE,
    ProducerPE,
    SimpleFunctionPE,
    WorkflowGraph,
    run,
)


class Numbers(ProducerPE):
    def _process(self, inputs):
        return 1


class Forgets(IterativePE):
    """Sends nothing."""

    def _process(self, data):
        2 * data


class ForgetsToo(GenericPE):
    def __init__(self):
        super().__init__()
        self._add_input("input")
        self._add_output("output")
        self._add_output("other")

    def process(self, inputs):
        pass


class Last(GenericPE):
    """Sends all it has when there is nothing more to come."""

    single = True

    def __init__(self):
        super().__init__()
        self._add_input("input")
        self._add_output("output")

    def process(self, inputs):
        pass

    def postprocess(self):
        self.write("output", 1)


class Mistyped(IterativePE):
    def proces(self, data):
        return data


class Raises(IterativePE):
    def _process(self, data):
        raise ValueError("no")


class Sink(ConsumerPE):
    def _process(self, data):
        pass


def chain(*pes):
    graph = WorkflowGraph()
    for source, destination in pairwise(pes):
        graph.connect(source, "output", destination, "input")
    return graph


def notes(graph, inputs=5, **options):
    return run(graph, inputs=inputs, **options).stats.notes


@pytest.mark.parametrize(
    ("pe", "question"),
    [
        (Forgets(), "does its _process() return what it should send?"),
        (ForgetsToo(), "does its process() return what it should send, such as {'output': data}"),
        (SimpleFunctionPE(print), "does its function return what it should send?"),
    ],
)
def test_a_pe_that_sends_nothing_is_noted_and_logged_once(pe, question, caplog):
    caplog.set_level(logging.WARNING, "dispel4py.run")

    (note,) = notes(chain(Numbers(), pe, Sink()))

    assert note.startswith(f"{pe.name}1 got 5 items and sent none: {question}")
    assert [record.getMessage() for record in caplog.records] == [note]


def test_a_root_is_noted_with_its_calls():
    class Silent(ProducerPE):
        def _process(self, inputs):
            pass

    (note,) = notes(chain(Silent(), Sink()), 1)

    assert note.startswith("Silent0 got 1 call and sent none")


def test_a_pe_with_a_method_of_another_name_is_noted_wherever_it_stands():
    (note,) = notes(chain(Numbers(), Mistyped()))

    assert note == (
        "Mistyped1 got 5 items and did nothing: Mistyped overrides neither _process() nor process()"
    )


@pytest.mark.parametrize(
    "graph",
    [
        chain(Numbers(), Sink()),
        chain(Numbers(), Forgets()),  # its output is not connected
        chain(Numbers(), Last(), Sink()),
        chain(Numbers(), IterativePE()),
        chain(Numbers(), SimpleFunctionPE(abs), Sink()),
    ],
)
def test_others_are_not(graph):
    assert notes(graph) == []


def test_nor_is_one_that_got_nothing():
    assert notes(chain(Numbers(), Forgets(), Sink()), 0) == []


def test_nor_one_whose_items_were_skipped():
    assert notes(chain(Numbers(), Raises(), Sink()), on_error="skip") == []


@pytest.mark.parametrize("on_result", [None, lambda *result: None])
def test_nor_one_that_sent_results_by_another_output(on_result):
    class Aside(ForgetsToo):
        def process(self, inputs):
            return {"other": 1}

    assert notes(chain(Numbers(), Aside(), Sink()), on_result=on_result) == []


class TestMisspeltMethods:
    def test_one_that_a_run_does_not_call_is_named(self):
        class Last(IterativePE):
            def _process(self, data):
                return data

            def post_process(self):
                self.write("output", 1)

        (note,) = notes(chain(Numbers(), Last(), Sink()))
        assert note == "Last1: post_process() was not called; did you mean postprocess()?"

    def test_one_that_the_pe_calls_itself_is_not(self):
        class Own(IterativePE):
            def _process(self, data):
                return self.post_process(data)

            def post_process(self, data):
                return data

        assert notes(chain(Numbers(), Own(), Sink())) == []

    def test_one_that_a_base_class_calls_is_not(self):
        class Base(IterativePE):
            def _process(self, data):
                return self.pre_process(data)

        class Derived(Base):
            def pre_process(self, data):
                return data

        assert notes(chain(Numbers(), Derived(), Sink())) == []
