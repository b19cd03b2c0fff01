"""Random graphs on `simple`: nothing is lost, doubled or sent astray, whatever the shape."""

import random
from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from dispel4py import GenericPE, WorkflowGraph, run
from dispel4py.engine.execution.executor import Executor
from dispel4py.engine.planning.plan import make_plan
from dispel4py.mappings.simple import SimpleMapping

GROUPINGS = [None, [0], "all", "global"]


class Node(GenericPE):
    """Hands on what it gets, by `write` or by returning it; a root makes pairs."""

    def __init__(self, writes: bool, grouping, numprocesses: int):
        super().__init__(numprocesses)
        self._add_input("input", grouping)
        self._add_output("output")
        self.writes = writes
        self.made = 0
        self.owns = set()

    def process(self, inputs):
        if "input" not in inputs:
            self.made += 1
            inputs = {"input": (self.made % 3, self.made, self.id)}
        self.owns.add(inputs["input"][0])
        if not self.writes:
            return {"output": inputs["input"]}
        return self.write("output", inputs["input"])

    def postprocess(self):
        if self.inputconnections["input"].get("grouping") == [0]:
            KEYS.append((self.id, frozenset(self.owns)))


KEYS: list = []


@st.composite
def graphs(draw):
    """Random acyclic graphs and their edges, by number."""
    size = draw(st.integers(1, 8))
    nodes = [
        Node(draw(st.booleans()), draw(st.sampled_from(GROUPINGS)), draw(st.integers(1, 3)))
        for _ in range(size)
    ]
    pairs = st.tuples(st.integers(0, size - 1), st.integers(0, size - 1))
    edges = [(min(e), max(e)) for e in draw(st.lists(pairs, max_size=12)) if e[0] != e[1]]
    graph = WorkflowGraph()
    for node in nodes:
        graph.add(node)
    for i, j in edges:
        graph.connect(nodes[i], "output", nodes[j], "input")
    return graph, edges


def expected(graph, edges, calls: int) -> dict[str, Counter]:
    """What reaches the outputs without an edge, counted along the edges by hand."""
    nodes = graph.get_contained_objects()
    fed = {j for _, j in edges}
    leaves: dict[str, Counter] = {}
    arrived = [Counter() for _ in nodes]
    for i in range(len(nodes)):
        if i not in fed:
            arrived[i].update((n % 3, n, f"Node{i}") for n in range(1, calls + 1))
        followers = [j for source, j in edges if source == i]
        for j in followers:
            copies = 1
            if nodes[j].inputconnections["input"].get("grouping") == "all":
                copies = nodes[j].numprocesses
            for item, count in arrived[i].items():
                arrived[j][item] += count * copies
        if not followers:
            leaves[f"Node{i}"] = arrived[i]
    return leaves


def counted(outputs) -> dict[str, Counter]:
    return {pe_id: Counter(by_output["output"]) for pe_id, by_output in outputs.items()}


@given(graphs(), st.integers(1, 5))
def test_c2_results_are_those_counted_by_hand(built, calls):
    graph, edges = built

    result = run(graph, inputs=calls)

    assert counted(result.outputs) == expected(graph, edges, calls)


@given(graphs())
def test_m1_no_key_is_seen_by_two_instances(built):
    graph, _ = built
    KEYS.clear()

    run(graph, inputs=4)

    for pe_id in {pe_id for pe_id, _ in KEYS}:
        seen = [key for other, keys in KEYS if other == pe_id for key in keys]
        assert len(seen) == len(set(seen))


@settings(max_examples=50)
@given(graphs(), st.integers(0, 5))
def test_c2_order_is_the_same_whatever_the_time(built, seed):
    graph, _ = built
    calm = run(graph, inputs=4).outputs
    chance, now = random.Random(seed), 0.0

    def erratic():
        nonlocal now
        now += chance.choice([0, 0, 0.003, 0.1])
        return now

    assert run(graph, SimpleMapping(clock=erratic), inputs=4).outputs == calm


class Results:
    def __init__(self):
        self.outputs: dict[str, Counter] = {}

    def send(self, pe, instance, input_name, items):
        raise AssertionError("everything is local")

    def result(self, pe_id, output, items):
        self.outputs.setdefault(pe_id, Counter()).update(items)


@given(graphs(), st.sampled_from([None, True, False]))
def test_executor_reaches_the_same_results_in_batches_and_one_by_one(built, one_by_one):
    graph, edges = built
    plan, results = make_plan(graph), Results()
    executor = Executor(plan, results, one_by_one=one_by_one)

    for root in plan.roots:
        calls = iter([{} for _ in range(40)])
        while executor.call_root(root.index, calls):
            pass
    for pe in plan.order:
        for instance in range(plan.pes[pe].instances):
            executor.finish(pe, instance)

    assert results.outputs == expected(graph, edges, 40)
