"""A wrong call of `run` is answered with what is wrong and what to write."""

import types

import pytest

from dispel4py import IterativePE, ProducerPE, WorkflowGraph, run
from dispel4py.errors import InputError, OptionError
from dispel4py.mappings.simple import SimpleMapping

MODULE = types.ModuleType("my_workflow")
MODULE.graph = WorkflowGraph()


def graph():
    made = WorkflowGraph()
    made.add(ProducerPE())
    return made


@pytest.mark.parametrize(
    ("given", "advice"),
    [
        (ProducerPE(), "not ProducerPE: .*; put it into one: graph = WorkflowGraph()"),
        (WorkflowGraph, "did you mean to call the class"),
        (IterativePE, "did you mean to call the class"),
        (MODULE, "not module: .*; the graphs in it: 'my_workflow.graph'"),
        ("wf.py", r"load it first: dispel4py.utils.load_graph\('wf.py'\)"),
        (None, "a workflow is a WorkflowGraph, not NoneType: None"),
    ],
)
def test_what_is_no_graph_is_answered_with_what_to_write(given, advice):
    with pytest.raises(TypeError, match=advice):
        run(given)


@pytest.mark.parametrize(
    ("given", "advice"),
    [
        (
            None,
            "the mapping is None, which has no 'name', .*use a name, such as 'simple'",
        ),
        (SimpleMapping, r"is the class SimpleMapping; .*: SimpleMapping\(\)"),
        (types, "use a name"),
        (5, "the mapping is 5, .*use a name"),
    ],
)
def test_what_is_no_mapping_is_answered_with_what_to_write(given, advice):
    with pytest.raises(OptionError, match=advice):
        run(graph(), given)


@pytest.mark.parametrize(
    ("inputs", "advice"),
    [
        ("x", "the input of ProducerPE0 is 'x'; it has to be a number of calls or a list of dicts"),
        (1.5, "the input of ProducerPE0 is 1.5; it has to be a number of calls"),
        ({"ProducerPE": {"a": 1}}, r"for one call: \[{'a': 1}\]"),
        ({ProducerPE: 3}, "the class ProducerPE in place of a PE, .*roots: 'ProducerPE0'"),
    ],
)
def test_inputs_that_cannot_be_are_answered_with_what_can(inputs, advice):
    with pytest.raises(InputError, match=advice):
        run(graph(), inputs=inputs)
