"""Graphs as users build them: edges, composites, flattening, types."""

import itertools

import pytest

from dispel4py import CompositePE, ConsumerPE, GenericPE, IterativePE, ProducerPE, WorkflowGraph
from dispel4py.errors import GraphError
from dispel4py.workflow_graph import topological_order


def wrap(node, times: int = 1) -> CompositePE:
    """A node with `input` and `output` in so many composites, each inside the next."""
    for _ in range(times):
        composite = CompositePE()
        composite.add(node)
        composite._map_input("input", node, "input")
        composite._map_output("output", node, "output")
        node = composite
    return node


def chain(*nodes) -> WorkflowGraph:
    graph = WorkflowGraph()
    for source, destination in itertools.pairwise(nodes):
        graph.connect(source, "output", destination, "input")
    return graph


def test_g1_edges_are_kept_in_the_order_in_which_they_were_connected():
    one, other = ProducerPE(), ConsumerPE()
    graph = chain(one, other)
    graph.connect(one, "output", other, "input")

    assert list(map(tuple, graph.edges)) == [(one, "output", other, "input")] * 2


def test_objects_are_held_once_in_the_order_in_which_they_joined():
    first, second, third = IterativePE(), IterativePE(), IterativePE()
    graph = WorkflowGraph()
    graph.add(third)
    graph.connect(first, "output", second, "input")
    graph.connect(second, "output", third, "input")

    assert graph.get_contained_objects() == [third, first, second]


@pytest.mark.parametrize("node", [None, "PE", 3, object()])
def test_what_is_no_pe_is_refused_at_once(node):
    with pytest.raises(TypeError, match="a graph contains PEs and graphs"):
        WorkflowGraph().add(node)


def test_class_instead_of_an_object_is_refused_with_a_hint():
    with pytest.raises(TypeError, match="call the class"):
        WorkflowGraph().connect(ProducerPE, "output", ConsumerPE(), "input")


def test_a_function_is_refused_with_the_pe_that_calls_it():
    def double(number):
        return 2 * number

    with pytest.raises(TypeError, match=r"make a PE of it: SimpleFunctionPE\(double\)"):
        WorkflowGraph().connect(ProducerPE(), "output", double, "input")


@pytest.mark.parametrize("base", [GenericPE, CompositePE])
def test_node_that_forgot_to_set_itself_up_is_refused(base):
    forgetful = type("Forgetful", (base,), {"__init__": lambda self: None})

    with pytest.raises(TypeError, match=r"Forgetful .*super\(\).__init__\(\)"):
        WorkflowGraph().add(forgetful())


def test_g2_composite_is_replaced_by_what_it_holds():
    producer, inner, consumer = ProducerPE(), IterativePE(), ConsumerPE()
    graph = chain(producer, wrap(inner), consumer)

    flat = graph.flatten()

    assert flat.get_contained_objects() == [producer, inner, consumer]
    assert [tuple(edge) for edge in flat.edges] == [
        (producer, "output", inner, "input"),
        (inner, "output", consumer, "input"),
    ]


def test_g2_edges_inside_a_composite_are_kept():
    first, last = IterativePE(), IterativePE()
    composite = CompositePE()
    composite.connect(first, "output", last, "input")
    composite._map_input("input", first, "input")
    composite._map_output("output", last, "output")
    producer, consumer = ProducerPE(), ConsumerPE()

    flat = chain(producer, composite, consumer).flatten()

    assert flat.get_contained_objects() == [producer, first, last, consumer]
    assert {tuple(edge) for edge in flat.edges} == {
        (producer, "output", first, "input"),
        (first, "output", last, "input"),
        (last, "output", consumer, "input"),
    }


@pytest.mark.parametrize("depth", [2, 5000])
def test_g2_composites_are_flattened_to_any_depth(depth):
    producer, inner, consumer = ProducerPE(), IterativePE(), ConsumerPE()

    flat = chain(producer, wrap(inner, depth), consumer).flatten()

    assert flat.get_contained_objects() == [producer, inner, consumer]
    assert [tuple(edge) for edge in flat.edges] == [
        (producer, "output", inner, "input"),
        (inner, "output", consumer, "input"),
    ]


def test_g2_flattening_changes_nothing_that_the_user_holds():
    composite = wrap(IterativePE(), 2)
    graph = chain(ProducerPE(), composite, ConsumerPE())
    before = [dict(vars(node)) for node in (graph, composite, *graph.get_contained_objects())]
    edges = list(graph.edges)

    graph.flatten()
    graph.flatten()

    after = [dict(vars(node)) for node in (graph, composite, *graph.get_contained_objects())]
    assert after == before
    assert graph.edges == edges


def test_g2_composite_may_be_used_in_two_places():
    shared = IterativePE()
    composite = wrap(shared)
    first, second, consumer = ProducerPE(), ProducerPE(), ConsumerPE()
    graph = chain(first, composite, consumer)
    graph.connect(second, "output", composite, "input")

    flat = graph.flatten()

    assert flat.get_contained_objects() == [first, shared, consumer, second]
    assert len(flat.edges) == 3


def test_partitions_name_the_pes_inside_composites():
    producer, first, last = ProducerPE(), IterativePE(), IterativePE()
    composite = CompositePE()
    composite.connect(first, "output", last, "input")
    composite._map_input("input", first, "input")
    graph = chain(producer, composite)
    graph.partitions = [[producer], [composite]]

    assert graph.flatten().partitions == [[producer], [first, last]]
    assert WorkflowGraph().flatten().partitions is None


def test_unknown_ports_of_composites_are_named_with_those_there_are():
    composite = wrap(IterativePE())
    graph = WorkflowGraph()
    graph.connect(ProducerPE(), "output", composite, "entry")
    graph.connect(composite, "exit", ConsumerPE(), "input")

    with pytest.raises(GraphError) as raised:
        graph.flatten()

    assert raised.value.problems == (
        "composite CompositePE has no input 'entry' (inputs: 'input')",
        "composite CompositePE has no output 'exit' (outputs: 'output')",
    )


def test_port_of_a_pe_that_the_composite_does_not_hold_is_named():
    composite = CompositePE()
    composite._map_input("input", IterativePE(), "input")

    with pytest.raises(GraphError, match=r"maps its input 'input' to IterativePE.*add\(\) it"):
        chain(ProducerPE(), composite).flatten()


@pytest.mark.parametrize("depth", [1, 2])
def test_composite_that_holds_itself_is_refused(depth):
    inner = CompositePE()
    inner.add(wrap_without_ports(inner, depth))

    with pytest.raises(GraphError, match="composite CompositePE contains itself"):
        chain(ProducerPE(), inner).flatten()


def wrap_without_ports(node, times: int):
    for _ in range(times - 1):
        outer = CompositePE()
        outer.add(node)
        node = outer
    return node


def test_order_puts_every_pe_behind_all_that_feed_it():
    first, second, last = ProducerPE(), ProducerPE(), ConsumerPE()
    graph = WorkflowGraph()
    graph.add(last)
    graph.connect(first, "output", last, "input")
    graph.connect(second, "output", last, "input")

    assert topological_order(graph) == [first, second, last]


def test_cycle_is_described_by_walking_along_it():
    before, one, two, after = (IterativePE() for _ in range(4))
    graph = chain(before, one, two, one)
    graph.connect(two, "output", after, "input")

    with pytest.raises(GraphError) as raised:
        topological_order(graph)

    assert str(raised.value) == (
        "the graph has a cycle: IterativePE1 → IterativePE2 → IterativePE1"
    )


def test_pe_that_feeds_itself_is_a_cycle():
    pe = IterativePE()

    with pytest.raises(GraphError, match=r"IterativePE0 → IterativePE0$"):
        topological_order(chain(pe, pe))


def test_types_propagate_from_the_roots_on_down():
    class Typed(ProducerPE):
        def __init__(self):
            super().__init__()
            self.outputconnections["output"]["type"] = ["word", "count"]

    class HandsOn(IterativePE):
        def get_output_types(self):
            return {"output": self.inputconnections["input"].get("type")}

    last = IterativePE()
    graph = chain(Typed(), wrap(HandsOn()), last)

    graph.propagate_types()

    assert last.inputconnections["input"]["type"] == ["word", "count"]


def test_old_names_for_drawing_are_found_here():
    from dispel4py import drawing, workflow_graph

    assert workflow_graph.draw is drawing.draw
    with pytest.raises(AttributeError, match="no attribute 'paint'"):
        _ = workflow_graph.paint
