"""Old names beside the mappings: views of a graph, helpers of commands, composites."""

import argparse
import importlib

import pytest
from core_helpers.old_workflow import Source, Two

from dispel4py import (
    ProducerPE,
    SimpleFunctionPE,
    WorkflowGraph,
    create_iterative_chain,
    run,
    utils,
)
from dispel4py.errors import InputError
from dispel4py.new import aggregate, processor, simple_process
from dispel4py.workflow_graph import WorkflowNode


@pytest.fixture
def source():
    return Source()


@pytest.fixture
def two():
    return Two()


@pytest.fixture
def graph(source, two):
    graph = WorkflowGraph()
    graph.connect(source, "output", two, "input")
    return graph


@pytest.mark.parametrize(
    ("target", "name"),
    [
        ("simple", "simple"),
        ("dispel4py.new.simple_process", "simple"),
        ("dispel4py.new.dynamic_redis", "redis"),
        ("dispel4py.new.nonsense", "dispel4py.new.nonsense"),
        ("my_own", "my_own"),
    ],
)
def test_mapping_name(target, name):
    assert processor.mapping_name(target) == name


def test_status_numbers_are_the_old_ones():
    assert processor.STATUS == {10: "ACTIVE", 11: "INACTIVE", 12: "TERMINATED"}
    assert processor.STATUS_TERMINATED == 12


class TestGraphView:
    def test_nodes_lead_to_the_pes(self, graph, source, two):
        nodes = graph.graph.nodes()
        assert [node.get_contained_object() for node in nodes] == [source, two]
        assert list(graph.graph.nodes) == list(graph.graph) == nodes
        assert graph.graph.nodes(data=True) == [(node, {}) for node in nodes]
        assert (len(graph.graph), graph.graph.number_of_nodes()) == (2, 2)
        assert [node.nodeType for node in nodes] == [WorkflowNode.WORKFLOW_NODE_PE] * 2
        assert [(node.inputs, node.outputs) for node in nodes] == [([], [{}]), ([{}], [{}, {}])]

    def test_nodes_are_found_by_their_pe(self, graph, source, two):
        assert list(graph.objToNode) == [source, two]
        assert graph.objToNode[two] == WorkflowNode(two)
        assert graph.objToNode[two] in graph.graph
        assert Two() not in graph.objToNode

    def test_edges_say_what_they_join(self, graph, source, two):
        graph.connect(source, "output", two, "input")
        one, other = graph.graph.nodes()
        data = {
            "DIRECTION": (source, two),
            "FROM_CONNECTION": "output",
            "TO_CONNECTION": "input",
            "ALL_CONNECTIONS": [("output", "input")] * 2,
        }
        assert graph.graph.edges() == list(graph.graph.edges) == [(one, other)]
        assert graph.graph.edges(data=True) == [(one, other, data)]
        assert graph.graph.edges(other, data=True) == [(other, one, data)]
        assert graph.graph[one] == {other: data}
        assert list(graph.graph[other].values()) == [data]
        assert list(graph.graph.neighbors(one)) == [other]
        assert graph.graph.has_edge(other, one)
        assert not graph.graph.has_edge(one, one)
        assert graph.graph.number_of_edges() == 1

    def test_composites_are_nodes_of_another_type(self):
        chain = create_iterative_chain([abs])
        graph = WorkflowGraph()
        graph.connect(Source(), "output", chain, "input")
        node = graph.objToNode[chain]
        assert node.nodeType == WorkflowNode.WORKFLOW_NODE_CP
        assert (node.inputs, node.outputs) == ([{}], [{}])

    def test_pes_can_be_set_up_by_the_nodes(self, graph, two):
        for node in graph.graph.nodes():
            node.get_contained_object().numprocesses = 3
        assert two.numprocesses == 3


FILE = """
from dispel4py import ProducerPE, WorkflowGraph

class One(ProducerPE):
    def _process(self, inputs):
        return 1

graph = WorkflowGraph()
graph.add(One())
other = WorkflowGraph()
"""


class TestHelpersOfCommands:
    @pytest.fixture
    def file(self, tmp_path):
        file = tmp_path / "helped_command.py"
        file.write_text(FILE)
        return file

    def args(self, *words):
        return processor.create_arg_parser().parse_args(["simple", *map(str, words)])

    def test_graph_and_inputs_are_what_process_takes(self, file, capsys):
        graph, inputs = processor.load_graph_and_inputs(self.args(file, "-i", 3, "-a", "graph"))
        simple_process.process(graph, inputs)
        assert capsys.readouterr().out == "Outputs: {'One0': {'output': [1, 1, 1]}}\n"

    def test_inputs_are_read_from_a_file_or_else_the_arguments(self, file, tmp_path):
        inputs = tmp_path / "inputs.json"
        inputs.write_text('{"One": 2}')
        for words in (("-f", inputs, "-d", '{"One": 3}'), ("-d", '{"One": 2}')):
            args = self.args(file, "-a", "graph", *words)
            assert processor.get_inputs_from_arguments(args) == {"One": 2}
            assert processor.load_graph_and_inputs(args)[1] == {"One": 2}
        assert processor.get_inputs_from_arguments(self.args(file)) == {}

    def test_only_roots_are_called(self, graph, source):
        assert processor.create_inputs(argparse.Namespace(iter=4), graph) == {source: 4}

    def test_wrong_inputs_are_reported(self, file):
        with pytest.raises(InputError, match="-d is not JSON: line 1, column 2"):
            processor.get_inputs_from_arguments(self.args(file, "-d", "{x"))

    def test_the_rest_is_left_for_the_mapping(self, monkeypatch):
        monkeypatch.setattr("sys.argv", ["mine", "multi", "wf.py", "-n", "4"])
        args, rest = processor.parse_common_args()
        assert (args.target, args.module, args.iter, rest) == ("multi", "wf.py", 1, ["-n", "4"])

    def test_graphs_are_loaded_by_the_old_names(self, file, monkeypatch):
        monkeypatch.delitem(importlib.sys.modules, "of_this_name", raising=False)
        graph = utils.loadGraphFromFile("of_this_name", str(file), "graph")
        module = importlib.sys.modules.pop("of_this_name")
        assert module.graph is graph is utils.findWorkflowGraph(module, "graph")
        assert utils.loadGraph(str(file), "other") is module.other


class TestNamesBeforeDispel4py2:
    """Of the releases that were on PyPI as dispel4py."""

    def test_composites_that_aggregate(self):
        names = "Count", "Sum", "Min", "Max", "Avg", "StdDev"
        results = [[3], [6], [1], [3], [2, 3, 6], (1, 2, 3, 6)]
        for name, expected in zip(names, results, strict=True):
            source, graph = Numbers(), WorkflowGraph()
            composite = getattr(aggregate, f"parallel{name}")()
            graph.connect(source, "output", composite, "input")
            (outputs,) = run(graph, inputs={source: 3}).outputs.values()
            assert outputs == {"output": [expected]}

    def test_the_class_of_a_chain(self):
        class Loud(SimpleFunctionPE):
            pass

        chain = create_iterative_chain([str], FunctionPE_class=Loud)
        (pe,) = chain.getContainedObjects()
        assert type(pe) is Loud


class Numbers(ProducerPE):
    count = 0

    def _process(self, inputs):
        self.count += 1
        return (self.count,)
