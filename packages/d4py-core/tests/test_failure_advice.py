"""What to change, where a PE fails because of how it is called."""

from itertools import pairwise

import pytest

from dispel4py import IterativePE, ProducerPE, WorkflowGraph, run
from dispel4py.errors import ProcessingError


class Read(ProducerPE):
    def _process(self, inputs):
        return inputs["path"]


class Split(IterativePE):
    def process(self, pair):
        first, _ = pair
        return {"output": first}


class OfOld(IterativePE):
    def process(self, inputs):
        return {"output": float(inputs["input"])}


def failure_of(*pes, inputs):
    graph = WorkflowGraph()
    graph.add(pes[0])
    for source, destination in pairwise(pes):
        graph.connect(source, "output", destination, "input")
    with pytest.raises(ProcessingError) as caught:
        run(graph, inputs=inputs)
    return str(caught.value)


def test_a_root_without_the_inputs_that_it_reads():
    text = failure_of(Read(), inputs=1)
    assert "called with no inputs; if it needs 'path' of them, give a dict for each call" in text
    assert text.endswith('with -d or as inputs of run(): {"Read": [{"path": …}]}')


class LooksElsewhere(ProducerPE):
    def _process(self, inputs):
        return look_up({"a": 1})


def look_up(table):
    return table["path"]


class Unprintable(Exception):
    def __str__(self):
        raise RuntimeError("it has no text")


class RaisesAnOddKey(ProducerPE):
    def _process(self, inputs):
        raise KeyError(Unprintable())


def test_a_root_without_inputs_that_looks_something_up_elsewhere():
    assert failure_of(LooksElsewhere(), inputs=1).endswith("KeyError: 'path'")


def test_a_key_that_is_no_text_is_left_alone():
    assert "called with no inputs" not in failure_of(RaisesAnOddKey(), inputs=1)


def test_other_inputs_of_a_root_are_left_to_its_author():
    assert failure_of(Read(), inputs=[{"name": 1}]).endswith("KeyError: 'path'")


def test_a_process_that_takes_its_inputs_for_the_item():
    text = failure_of(Read(), Split(), inputs=[{"path": "a"}])
    advice = "process() gets {'input': item}; write _process(self, data) to get the item"
    assert text.endswith(f"; {advice}")


class Above(IterativePE):
    def process(self, inputs):
        return super().process(inputs)

    def _process(self, data):
        return float(data)


class ByConstant(IterativePE):
    def process(self, inputs):
        return {"output": float(inputs[self.INPUT_NAME])}


@pytest.mark.parametrize("pe", [Above, ByConstant])
def test_a_process_that_gets_its_input_by_other_means(pe):
    text = failure_of(Read(), pe(), inputs=[{"path": "a"}])
    assert text.endswith("could not convert string to float: 'a'")


def test_a_process_that_reads_its_input_fails_for_other_reasons():
    text = failure_of(Read(), OfOld(), inputs=[{"path": "a"}])
    assert text.endswith("could not convert string to float: 'a'")
