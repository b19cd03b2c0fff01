"""Rules G1, G2, G3 and G5: edges, composites, ids, and that a run leaves the graph alone."""

from __future__ import annotations

import pickle

import pytest

from d4py_conformance.expected.compare import assert_outputs
from d4py_conformance.pes.common import Identity, Numbers, Ports, Relay, Sorter, Tag
from d4py_conformance.suite import Execute, Suite, chain, results
from dispel4py import WorkflowGraph, create_iterative_chain
from dispel4py.base import CompositePE
from dispel4py.errors import GraphError


def add_one(number: int) -> int:
    """One more."""
    return number + 1


def times(number: int, factor: int) -> int:
    """`factor` times as much."""
    return number * factor


class GraphRules(Suite):
    """What a graph means."""

    def test_g1_fan_out_reaches_every_edge(self, execute: Execute) -> None:
        graph = WorkflowGraph()
        numbers = Numbers()
        for tag in "abc":
            graph.connect(numbers, "output", Tag(tag), "input")
        assert_outputs(
            execute(graph, 4).outputs,
            {
                f"Tag{i}": {"output": [(tag, n) for n in (1, 2, 3, 4)]}
                for i, tag in [*enumerate("abc", 1)]
            },
        )

    def test_g1_fan_in_takes_from_every_edge(self, execute: Execute) -> None:
        graph = WorkflowGraph()
        relay = Relay()
        graph.connect(Numbers(), "output", relay, "input")
        graph.connect(Numbers(), "output", relay, "input")
        assert_outputs(execute(graph, 4).outputs, {"Relay1": {"output": [1, 2, 3, 4] * 2}})

    def test_g1_parallel_edges_are_all_kept(self, execute: Execute) -> None:
        # Two edges from one output to one input, and one to another input of the same PE.
        graph = WorkflowGraph()
        numbers, ports = Numbers(), Ports("left", "right")
        graph.connect(numbers, "output", ports, "left")
        graph.connect(numbers, "output", ports, "left")
        graph.connect(numbers, "output", ports, "right")
        assert_outputs(
            execute(graph, 3).outputs,
            {
                "Ports1": {
                    "output": [("left", n) for n in (1, 2, 3)] * 2
                    + [("right", n) for n in (1, 2, 3)]
                }
            },
        )

    def test_g1_outputs_go_their_own_ways(self, execute: Execute) -> None:
        graph = WorkflowGraph()
        numbers, sorter, even, odd = Numbers(), Sorter(), Tag("even"), Tag("odd")
        graph.connect(numbers, "output", sorter, "input")
        graph.connect(sorter, "even", even, "input")
        graph.connect(sorter, "odd", odd, "input")
        assert_outputs(
            execute(graph, 5).outputs,
            {
                "Sorter1": {"all": [1, 1, 2, 2, 3, 3, 4, 4, 5, 5]},
                "Tag2": {"output": [("even", 2), ("even", 4)]},
                "Tag3": {"output": [("odd", 1), ("odd", 3), ("odd", 5)]},
            },
        )

    def test_g2_nested_composites_are_flattened(self, execute: Execute) -> None:
        inner = create_iterative_chain([add_one, (times, {"factor": 10})])
        outer = CompositePE()
        relay = Relay()
        outer.connect(relay, "output", inner, "input")
        outer._map_input("in", relay, "input")
        outer._map_output("out", inner, "output")
        graph = WorkflowGraph()
        last = Tag("last")
        graph.connect(Numbers(), "output", outer, "in")
        graph.connect(outer, "out", last, "input")
        held = [graph.get_contained_objects(), outer.get_contained_objects()]

        outputs = execute(graph, 3).outputs

        assert_outputs(outputs, {"Tag4": {"output": [("last", 20), ("last", 30), ("last", 40)]}})
        assert [graph.get_contained_objects(), outer.get_contained_objects()] == held

    def test_g2_cycles_are_refused(self, execute: Execute) -> None:
        graph = WorkflowGraph()
        first, second = Relay(), Relay()
        graph.connect(Numbers(), "output", first, "input")
        graph.connect(first, "output", second, "input")
        graph.connect(second, "output", first, "input")
        with pytest.raises(GraphError, match="cycle"):
            execute(graph, 3)

    def test_g3_ids_are_names_with_a_number(self, execute: Execute) -> None:
        graph = WorkflowGraph()
        numbers, reader, plain = Numbers(), Relay("Reader"), Relay()
        graph.add(plain)
        graph.connect(numbers, "output", reader, "input")
        graph.connect(numbers, "output", plain, "input")
        assert_outputs(
            execute(graph, 2).outputs, {"Relay0": {"output": [1, 2]}, "Reader2": {"output": [1, 2]}}
        )

    def test_g3_a_pe_sees_its_own_id(self, execute: Execute) -> None:
        outputs = results(execute(chain(Numbers(), Identity()), 3), "Identity1")
        assert [pe_id for pe_id, _ in outputs] == ["Identity1"] * 3

    def test_g5_running_twice_gives_the_same_twice(self, execute: Execute) -> None:
        graph = chain(Numbers(), Relay(), Tag("x"))
        expected = {"Tag2": {"output": [("x", n) for n in range(1, 6)]}}
        assert_outputs(execute(graph, 5).outputs, expected)
        assert_outputs(execute(graph, 5).outputs, expected)

    def test_g5_the_graph_stays_as_it_was(self, execute: Execute) -> None:
        numbers = Numbers()
        graph = chain(numbers, create_iterative_chain([add_one]), Tag("x"))
        graph.partitions = [[numbers]]
        before = pickle.dumps(graph)
        execute(graph, 5)
        assert numbers.counter == 0
        assert pickle.dumps(graph) == before
