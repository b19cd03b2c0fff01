"""What a PE returns that is no output, or no dict, is answered with what to return."""

import pytest

from dispel4py import GenericPE, IterativePE, ProcessingError, ProducerPE, WorkflowGraph, run


class Once(ProducerPE):
    def _process(self, inputs):
        return 1


class Ports(GenericPE):
    def __init__(self, returned):
        super().__init__()
        self._add_input("input")
        self._add_output("output")
        self.returned = returned

    def process(self, inputs):
        return self.returned(inputs)


class Inner(IterativePE):
    def process(self, inputs):
        return 2 * inputs["input"]


class Pair(IterativePE):
    def _process(self, data):
        return {"name": data}


def outcome(pe):
    graph = WorkflowGraph()
    graph.connect(Once(), "output", pe, "input")
    return run(graph)


def reason(pe):
    with pytest.raises(ProcessingError) as raised:
        outcome(pe)
    return raised.value.reason


def test_m4_a_dict_of_data_is_answered_with_the_outputs_and_the_line_to_write():
    text = reason(Ports(lambda inputs: {"name": "x", "size": 3}))

    assert "Ports1 has no output 'name' (outputs: 'output')" in text
    assert "{'name': 'x', 'size': 3}" in text
    assert "return {'output': data}" in text


def test_m4_a_dict_with_a_slip_of_the_pen_is_no_data():
    text = reason(Ports(lambda inputs: {"outptu": 1}))

    assert text.endswith("Ports1 has no output 'outptu' (outputs: 'output')")


def test_m4_a_dict_from_an_iterative_pe_is_an_item():
    assert outcome(Pair()).outputs == {"Pair1": {"output": [{"name": 1}]}}


@pytest.mark.parametrize(
    ("pe", "advice"),
    [
        (Inner(), "to return the data alone, override _process() in place of process()"),
        (Ports(lambda inputs: iter([1])), "write each item with self.write('output', item)"),
        (Ports(lambda inputs: (n for n in [1])), "write each item with self.write('output', item)"),
        (Ports(lambda inputs: 5), "it can return a dict of output name and data, or None"),
    ],
)
def test_what_is_no_dict_is_answered_with_what_to_write(pe, advice):
    text = reason(pe)

    assert "process() returned" in text
    assert text.endswith(advice)
