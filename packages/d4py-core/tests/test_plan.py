"""Everything about a run that is decided before it starts."""

import itertools
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispel4py import CompositePE, ConsumerPE, GenericPE, ProducerPE, WorkflowGraph
from dispel4py.engine.planning.capabilities import Capabilities, refusal
from dispel4py.engine.planning.grouping import Grouping, grouping_of
from dispel4py.engine.planning.plan import make_plan, replicate_stateless
from dispel4py.errors import GraphError


class Node(GenericPE):
    """Takes and gives whatever is connected."""

    def __init__(self, name: str = "Node"):
        super().__init__()
        self.name = name
        self._add_input("input")
        self._add_output("output")


class Join(GenericPE):
    def __init__(self):
        super().__init__()
        self._add_input("left")
        self._add_input("right")
        self._add_input("extra", optional=True)


def chain(*nodes) -> WorkflowGraph:
    graph = WorkflowGraph()
    for source, destination in itertools.pairwise(nodes):
        graph.connect(source, "output", destination, "input")
    return graph


def grouped(grouping) -> Node:
    pe = Node()
    pe.inputconnections["input"]["grouping"] = grouping
    return pe


def problems_of(graph: WorkflowGraph) -> tuple[str, ...]:
    with pytest.raises(GraphError) as raised:
        make_plan(graph)
    return raised.value.problems


# Ids and instances


def test_g3_ids_are_name_and_position_in_the_order_of_joining():
    producer, first, last = ProducerPE(), Node("Work"), Node("Work")
    graph = WorkflowGraph()
    graph.add(last)
    graph.connect(producer, "output", first, "input")
    graph.connect(first, "output", last, "input")

    assert [pe.id for pe in make_plan(graph).pes] == ["Work0", "ProducerPE1", "Work2"]


def test_g3_pes_of_a_composite_are_counted_where_it_joined():
    composite = CompositePE()
    first, last = Node("A"), Node("B")
    composite.connect(first, "output", last, "input")
    composite._map_input("input", first, "input")
    composite._map_output("output", last, "output")

    plan = make_plan(chain(ProducerPE(), composite, ConsumerPE()))

    assert [pe.id for pe in plan.pes] == ["ProducerPE0", "A1", "B2", "ConsumerPE3"]


def test_g4_root_is_what_has_no_connected_input():
    fed, unfed = Node(), Node()

    plan = make_plan(chain(unfed, fed))

    assert [(pe.id, pe.is_root) for pe in plan.pes] == [("Node0", True), ("Node1", False)]
    assert [pe.id for pe in plan.roots] == ["Node0"]


@pytest.mark.parametrize(
    ("numprocesses", "single", "instances"), [(1, False, 1), (4, False, 4), (4, True, 1)]
)
def test_i1_pe_has_numprocesses_instances_unless_single(numprocesses, single, instances):
    pe = Node()
    pe.numprocesses, pe.single = numprocesses, single

    assert make_plan(chain(ProducerPE(), pe)).pes[1].instances == instances


def test_i1_root_has_one_instance_whatever_its_numprocesses():
    root = ProducerPE()
    root.numprocesses = 4

    assert make_plan(chain(root, Node())).pes[0].instances == 1


def test_d3_only_roots_have_independent_calls():
    root, fed = Node("Root"), Node("Fed")
    root.independent_calls = fed.independent_calls = True
    plan = make_plan(chain(root, fed))

    assert [pe.has_independent_calls for pe in plan.pes] == [True, False]
    assert [pe.is_pinned for pe in plan.pes] == [False, False]
    assert [pe.replicated for pe in replicate_stateless(plan).pes] == [True, True]


def test_d3_root_has_one_instance_where_calls_are_not_shared():
    root = Node("Root")
    root.independent_calls, root.numprocesses = True, 5

    assert make_plan(chain(root, Node())).pes[0].instances == 1


@pytest.mark.parametrize(("name", "value"), [("single", True), ("stateful", "counts")])
def test_d3_independent_calls_and_one_place_are_a_problem(name, value):
    root = Node("Root")
    root.independent_calls = True
    setattr(root, name, value)

    assert problems_of(chain(root, Node())) == (
        "Root0 has independent_calls = True, so that workers may share its calls, and"
        f" {name} = {value!r}, so that they may not: remove one of the two",
    )


def test_d3_it_is_no_problem_where_it_means_nothing():
    fed = Node("Fed")
    fed.independent_calls = fed.stateful = True

    assert make_plan(chain(Node(), fed)).pes[1].is_pinned


def test_numprocesses_may_be_a_numpy_integer():
    numpy = pytest.importorskip("numpy")
    pe = Node()
    pe.numprocesses = numpy.int64(3)

    instances = make_plan(chain(ProducerPE(), pe)).pes[1].instances

    assert (type(instances), instances) == (int, 3)


# Routes and groupings


def test_g1_every_edge_is_a_route():
    source, one, other = ProducerPE(), Node(), Node()
    graph = chain(source, one)
    graph.connect(source, "output", other, "input")
    graph.connect(source, "output", other, "input")

    routes = make_plan(graph).pes[0].routes["output"]

    assert [(route.destination, route.input) for route in routes] == [
        (1, "input"),
        (2, "input"),
        (2, "input"),
    ]


def test_output_without_an_edge_has_no_routes():
    assert make_plan(chain(ProducerPE(), Node())).pes[1].routes == {"output": ()}


@pytest.mark.parametrize(
    ("given_", "planned"),
    [
        (None, Grouping("shuffle")),
        ("shuffle", Grouping("shuffle")),
        ("all", Grouping("all")),
        ("global", Grouping("global")),
        ([0], Grouping("group_by", (0,))),
        (("name", 1), Grouping("group_by", ("name", 1))),
    ],
)
def test_m1_groupings_are_read_from_the_input(given_, planned):
    assert grouping_of(grouped(given_), "input") == planned


@pytest.mark.parametrize("given_", [[], "name", 5, {"a": 1}, b"k"])
def test_grouping_that_is_none_is_a_problem(given_):
    assert problems_of(chain(ProducerPE(), grouped(given_))) == (
        f"input 'input' of Node1 has the grouping {given_!r}; it can be a list of keys such as"
        " [0], 'all', 'global' or None",
    )


@pytest.mark.parametrize("grouping", ["all", "global", [0]])
def test_pe_with_a_grouping_is_stateful_for_that_reason(grouping):
    planned = make_plan(chain(ProducerPE(), grouped(grouping))).pes[1]

    assert planned.stateful
    assert planned.stateful_because == (f"its input 'input' has the grouping {grouping!r}",)


def test_grouping_of_an_unconnected_input_makes_nothing_stateful():
    assert not make_plan(chain(grouped([0]), Node())).pes[0].stateful


def test_pe_that_is_declared_stateful_is_stateful():
    pe = Node()
    pe.stateful = "nature"

    planned = make_plan(chain(ProducerPE(), pe)).pes[1]

    assert planned.stateful_because == ("it has stateful = 'nature'",)


def test_overridden_life_cycle_is_known():
    class Sums(Node):
        def _postprocess(self):
            pass

    patched = Node()
    patched.preprocess = print

    plan = make_plan(chain(Node(), Sums(), patched))

    assert [(pe.has_preprocess, pe.has_postprocess) for pe in plan.pes] == [
        (False, False),
        (False, True),
        (True, False),
    ]


# Order


def test_order_matters_only_where_items_can_meet_by_two_paths():
    source = ProducerPE()
    straight = chain(source, Node(), Node())
    fan_out = chain(source, Node())
    fan_out.connect(source, "output", Node(), "input")
    fan_in = chain(source, Node("Meet"))
    fan_in.connect(ProducerPE(), "output", fan_in.get_contained_objects()[1], "input")

    matters = [make_plan(graph).order_matters for graph in (straight, fan_out, fan_in)]

    assert matters == [False, False, True]


def test_replicate_stateless_leaves_one_instance_of_stateless_pes():
    free, keeper = Node(), grouped([0])
    free.numprocesses = keeper.numprocesses = 3

    plan = replicate_stateless(make_plan(chain(ProducerPE(), free, keeper)))

    assert [pe.instances for pe in plan.pes] == [1, 1, 3]


# Problems


@pytest.mark.parametrize("workflow", [ProducerPE(), None, "workflow.py", WorkflowGraph])
def test_what_is_no_graph_is_refused(workflow):
    with pytest.raises(TypeError, match="a workflow is a WorkflowGraph, not "):
        make_plan(workflow)


def test_empty_graph_is_a_problem():
    assert problems_of(WorkflowGraph()) == ("the graph is empty: add() a PE or connect() two",)


def test_every_problem_is_reported_at_once():
    producer, lonely, meet = ProducerPE(), Node("Lonely"), Join()
    bad = grouped("nearest")
    bad.numprocesses = 0
    graph = WorkflowGraph()
    graph.connect(producer, "outptu", lonely, "inptu")
    graph.connect(producer, "output", bad, "input")
    graph.connect(bad, "output", meet, "left")
    composite = CompositePE()
    composite.add(Node())
    graph.connect(producer, "output", composite, "entry")
    one, two = Node("One"), Node("Two")
    graph.connect(one, "output", two, "input")
    graph.connect(two, "output", one, "input")

    problems = "\n".join(problems_of(graph))

    for expected in (
        "composite CompositePE has no input 'entry' (inputs: none)",
        "Node2 has numprocesses = 0; it must be a whole number of at least 1",
        "ProducerPE0 has no output 'outptu' (outputs: 'output')",
        "Lonely1 has no input 'inptu' (inputs: 'input')",
        "input 'input' of Node2 has the grouping 'nearest'",
        "input 'right' of Join3 is not connected",
        "the graph has a cycle: One5 → Two6 → One5",
    ):
        assert expected in problems


def test_input_may_stay_unconnected_if_it_is_optional():
    meet = Join()
    graph = WorkflowGraph()
    graph.connect(ProducerPE(), "output", meet, "left")
    graph.connect(ProducerPE(), "output", meet, "right")

    assert make_plan(graph).pes[1].upstream == (0, 2)


def test_root_may_leave_all_its_inputs_unconnected():
    assert make_plan(chain(Node(), Node())).roots[0].id == "Node0"


def test_ids_that_collide_are_a_problem():
    graph = WorkflowGraph()
    for i in range(12):
        graph.add(Node({1: "A1", 11: "A"}.get(i, "Other")))

    assert problems_of(graph) == (
        "PEs number 1 and 11 both get the id 'A11': give one of them another name",
    )


@pytest.mark.parametrize("count", [0, -1, "2", 1.5, None])
def test_numprocesses_that_cannot_be_is_a_problem(count):
    pe = Node()
    pe.numprocesses = count

    assert problems_of(chain(ProducerPE(), pe)) == (
        f"Node1 has numprocesses = {count!r}; it must be a whole number of at least 1",
    )


def test_a_class_may_set_numprocesses_as_it_sets_single():
    class Wide(Node):
        numprocesses = 3

    assert make_plan(chain(ProducerPE(), Wide())).pes[1].instances == 3
    assert GenericPE(numprocesses=2).numprocesses == 2


# What a mapping can run


def test_d1_refusal_names_stateful_pes_and_why():
    plan = make_plan(chain(ProducerPE(), grouped([0]), Node(), grouped("all")))

    assert refusal(plan, Capabilities(stateful=True, group_by=True, broadcast=True)) is None
    assert refusal(plan, Capabilities()) == (
        "Node1 is stateful: its input 'input' has the grouping [0];"
        " Node3 is stateful: its input 'input' has the grouping 'all'"
    )


def test_d1_stateful_root_is_not_refused():
    root = ProducerPE()
    root.stateful = "nature"

    assert refusal(make_plan(chain(root, Node())), Capabilities()) is None


@pytest.mark.parametrize(
    ("grouping", "lacking", "why"),
    [
        ("all", {"group_by": True}, "Node1 has an input with the grouping 'all'"),
        ("global", {"broadcast": True}, "Node1 has an input that is grouped"),
        ([0], {"broadcast": True}, "Node1 has an input that is grouped"),
    ],
)
def test_refusal_names_the_grouping_that_a_mapping_lacks(grouping, lacking, why):
    plan = make_plan(chain(ProducerPE(), grouped(grouping)))

    assert refusal(plan, Capabilities(stateful=True, **lacking)) == why


def test_refusal_names_life_cycles_that_a_mapping_lacks():
    pe = Node()
    pe.postprocess = print

    assert refusal(make_plan(chain(ProducerPE(), pe)), Capabilities(lifecycle=False)) == (
        "Node1 has a preprocess or a postprocess"
    )


# Properties over random graphs


@st.composite
def graphs(draw, *, cyclic: bool = False):
    """Random graphs as (graph, edges by index); PEs join in an order that hides the acyclic one."""
    size = draw(st.integers(1, 12))
    rank = draw(st.permutations(range(size)))
    pairs = st.tuples(st.integers(0, size - 1), st.integers(0, size - 1))
    edges = draw(st.lists(pairs, max_size=25))
    if not cyclic:
        edges = [(i, j) if rank[i] < rank[j] else (j, i) for i, j in edges if i != j]
    graph = WorkflowGraph()
    nodes = [Node() for _ in range(size)]
    for node in nodes:
        graph.add(node)
    for i, j in edges:
        graph.connect(nodes[i], "output", nodes[j], "input")
    return graph, edges


@given(graphs())
def test_plan_of_any_acyclic_graph_is_true_to_it(built):
    graph, edges = built

    plan = make_plan(graph)

    size = len(plan.pes)
    position = {pe: place for place, pe in enumerate(plan.order)}
    assert [pe.id for pe in plan.pes] == [f"Node{i}" for i in range(size)]
    assert sorted(plan.order) == list(range(size))
    assert all(position[i] < position[j] for i, j in edges)
    for pe in plan.pes:
        assert set(pe.upstream) == {i for i, j in edges if j == pe.index}
        assert pe.is_root == (not pe.upstream)
        sent = [route.destination for route in pe.routes["output"]]
        assert sent == [j for i, j in edges if i == pe.index]


@given(graphs(cyclic=True))
def test_cycle_that_is_reported_is_one_and_none_goes_unseen(built):
    graph, edges = built
    try:
        plan = make_plan(graph)
    except GraphError as error:
        (problem,) = error.problems
        walk = [int(number) for number in re.findall(r"Node(\d+)", problem)]
        assert walk[0] == walk[-1]
        assert len(set(walk)) == len(walk) - 1 >= 1
        assert all(step in edges for step in itertools.pairwise(walk))
    else:
        position = {pe: place for place, pe in enumerate(plan.order)}
        assert all(position[i] < position[j] for i, j in edges)


@given(graphs())
def test_g5_planning_changes_nothing(built):
    graph, _ = built
    before = [dict(vars(pe)) for pe in graph.get_contained_objects()]

    assert make_plan(graph) == make_plan(graph)

    assert [dict(vars(pe)) for pe in graph.get_contained_objects()] == before
