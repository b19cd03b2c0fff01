"""M6: what comes in any order is given in the order of the root; see `engine.items.places`."""

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispel4py import GenericPE, IterativePE, ProducerPE, WorkflowGraph, run
from dispel4py.engine.execution.executor import Executor
from dispel4py.engine.items.places import LATE, EmptyPlace, OtherInstance, Placed
from dispel4py.engine.items.reorder_buffer import ReorderBuffer
from dispel4py.engine.limits import EngineLimits
from dispel4py.engine.planning.plan import make_plan
from dispel4py.errors import GraphError, ProcessingError, RunError

PATH = 3


def single_path(buffer, *items):
    return [item for given in items for _, item in buffer.take("input", given)]


class Root(ProducerPE):
    counter = 0

    def _process(self, inputs):
        self.counter += 1
        return self.counter


class Some(GenericPE):
    """Writes to its outputs, in turn, as many items as its function says."""

    def __init__(self, count, outputs, instances):
        super().__init__(instances)
        self._add_input("input")
        for i in range(outputs):
            self._add_output(f"output{i}")
        self.count, self.outputs = count, outputs

    def process(self, inputs):
        data = inputs["input"]
        for i in range(self.count(data)):
            self.write(f"output{(data[-1] + i) % self.outputs}", (*data, i))


class First(ProducerPE):
    counter = 0

    def _process(self, inputs):
        self.counter += 1
        return (self.counter,)


class Last(GenericPE):
    """Notes what comes."""

    def __init__(self, instances=1, grouping=None):
        super().__init__(instances)
        self._add_input("input", grouping, ordered=True)
        self._add_output("output")

    def process(self, inputs):
        self.write("output", (self.instance, inputs["input"]))

    instance = 0


class Anywhere:
    """Sends what leaves an instance in an order that a test draws."""

    def __init__(self, graph, draw):
        self.plan = make_plan(graph)
        self.results, self.waiting, self.draw = [], [], draw
        # What is sent before a call ends depends on the time, and what is drawn must not.
        self.executor = Executor(
            self.plan, self, is_local=lambda pe, instance: False, clock=lambda: 0.0
        )

    def send(self, pe, instance, input_name, items):
        assert items
        self.waiting += [(pe, instance, input_name, [item]) for item in items]

    def result(self, pe_id, output, items):
        self.results += items

    def run(self, calls):
        for pe in reversed(self.plan.order):
            for instance in range(self.plan.pes[pe].instances):
                self.executor.start(pe, instance)
        for root in self.plan.roots:
            given_calls = iter([{} for _ in range(calls)])
            while self.executor.call_root(root.index, given_calls):
                pass
        while self.waiting:
            at = self.draw(st.integers(0, len(self.waiting) - 1))
            self.executor.push(*self.waiting.pop(at))
            self.executor.drain()
        for pe in self.plan.order:
            for instance in range(self.plan.pes[pe].instances):
                self.executor.finish(pe, instance)
                self.executor.drain()
                assert not self.waiting


@given(st.data())
def test_m6_whatever_overtakes_what_the_order_is_that_of_the_places(data):
    counts = data.draw(st.lists(st.integers(0, 3), min_size=7, max_size=7))
    outputs = data.draw(st.integers(1, 3))
    stages = data.draw(st.integers(1, 3))
    graph, source, names = WorkflowGraph(), First(), ["output"]
    for _ in range(stages):
        stage = Some(lambda item: counts[sum(item) % 7], outputs, 2)
        for name in names:
            graph.connect(source, name, stage, "input")
        source, names = stage, [f"output{i}" for i in range(outputs)]
    instances = data.draw(st.integers(1, 2))
    grouping = data.draw(st.sampled_from([None, [0], "all", "global"]))
    last = Last(instances, grouping)
    for name in names:
        graph.connect(source, name, last, "input")

    anywhere = Anywhere(graph, data.draw)
    for instance in range(instances):
        anywhere.executor.start(stages + 1, instance).pe.instance = instance
    anywhere.run(3)

    expected = [(number,) for number in range(1, 4)]
    for _ in range(stages):
        expected = [(*item, i) for item in expected for i in range(counts[sum(item) % 7])]
    found = [[item for n, item in anywhere.results if n == i] for i in range(instances)]
    if grouping == "all":
        assert found == [expected] * instances
    else:
        assert all(part == [item for item in expected if item in part] for part in found)
        assert sorted(item for part in found for item in part) == sorted(expected)


def test_m6_an_item_that_comes_early_waits():
    buffer = ReorderBuffer({PATH: (0, True)})
    second, third = Placed((0, 1, PATH), "b"), Placed((0, 2, PATH), "c")
    assert single_path(buffer, second, third) == []
    assert single_path(buffer, Placed((0, 0, PATH), "a")) == [
        Placed((0, 0, PATH), "a"), second, third,
    ]  # fmt: skip
    assert [*buffer.finish()] == []


def test_m6_what_goes_elsewhere_is_not_waited_for():
    buffer = ReorderBuffer({PATH: (0, True)})
    item = Placed((0, 1, PATH), "b")
    assert single_path(buffer, item, OtherInstance((0, 0, PATH))) == [item]


def test_m6_a_void_stands_for_all_that_would_follow_from_it():
    buffer = ReorderBuffer({1: (0, True), PATH: (0, True)})
    item = Placed((0, 1, 1, ~0, PATH), "b")
    empty = EmptyPlace((0, 0, 1, ~0, PATH))
    assert single_path(buffer, item, empty) == [empty, item]


def test_m6_what_is_held_moves_with_the_instance():
    buffer = ReorderBuffer({PATH: (0, True)})
    assert single_path(buffer, Placed((0, 1, PATH), "b")) == []
    buffer = pickle.loads(pickle.dumps(buffer))
    assert [item.data for item in single_path(buffer, Placed((0, 0, PATH), "a"))] == ["a", "b"]


def test_m6_what_has_no_place_comes_last_in_its_own_order():
    buffer = ReorderBuffer({PATH: (0, True)})
    late = [Placed((LATE, 2, 0, 1, n, PATH), n) for n in (1, 0)]
    first = Placed((0, 0, PATH), "a")
    assert single_path(buffer, *late, first) == [first]
    assert [item for _, item in buffer.finish()] == [*reversed(late)]


def test_c6_a_root_is_ahead_while_too_much_of_it_is_held():
    buffer = ReorderBuffer({PATH: (0, True)})
    for number in range(1, EngineLimits().early_items + 1):
        assert buffer.roots_to_pause == ()
        single_path(buffer, EmptyPlace((5, number, PATH)))
    assert buffer.roots_to_pause == (5,)
    assert len(single_path(buffer, EmptyPlace((5, 0, PATH)))) == EngineLimits().early_items + 1
    assert buffer.roots_to_pause == ()
    single_path(buffer, Placed((5, EngineLimits().early_items + 2, PATH), bytes(100 << 20)))
    assert buffer.roots_to_pause == (5,)


def test_m6_an_item_that_is_lost_or_doubled_by_a_mapping_is_noticed():
    buffer = ReorderBuffer({PATH: (0, True)})
    single_path(buffer, Placed((0, 0, PATH), "a"), Placed((0, 2, PATH), "c"))
    with pytest.raises(RunError, match="has lost it"):
        [*buffer.finish()]
    for number in (0, 2):
        with pytest.raises(RunError, match="come twice"):
            single_path(buffer, Placed((0, number, PATH), "again"))


def test_m6_a_key_that_cannot_be_read_leaves_no_gap():
    class Odd(IterativePE):
        def _process(self, data):
            return data if data % 2 else [data]

    graph = WorkflowGraph()
    graph.connect(Root(), "output", odd := Odd(), "input")
    graph.connect(odd, "output", Last(2, [0]), "input")
    result = run(graph, inputs=4, on_error="skip")
    assert [item for _, item in result.outputs["Last2"]["output"]] == [[2], [4]]
    assert len(result.failures) == 2


def test_d1_an_ordered_input_makes_a_pe_stateful():
    graph = WorkflowGraph()
    graph.connect(Root(), "output", Last(), "input")
    planned = make_plan(graph).pes[1]
    assert planned.stateful_because == ("its input 'input' is ordered",)
    assert planned.ordered == ("input",)
    assert not make_plan(_plain()).pes[1].has_places


def test_an_item_travels_in_order_or_with_its_id():
    graph = WorkflowGraph()
    last = Last()
    last.item_ids = last.seeks = True
    graph.connect(Root(), "output", last, "input")
    with pytest.raises(GraphError) as caught:
        make_plan(graph)
    assert len(caught.value.problems) == 3
    assert "either in order or with their ids" in str(caught.value)
    assert "Last1 has, or leads to, an ordered input, so it cannot have seeks" in str(caught.value)


def test_calls_in_order_are_not_independent():
    graph, root = WorkflowGraph(), Root()
    root.independent_calls = True
    graph.connect(root, "output", Last(), "input")
    with pytest.raises(GraphError, match=r"Root0 leads to an ordered input.*independent_calls"):
        make_plan(graph)


def test_m6_an_input_beside_that_is_not_ordered_is_not_touched():
    class Two(Last):
        def __init__(self):
            super().__init__()
            self._add_input("plain")

        def process(self, inputs):
            self.write("output", inputs)

    graph = WorkflowGraph()
    graph.connect(root := Root(), "output", two := Two(), "input")
    graph.connect(root, "output", two, "plain")
    found = run(graph, inputs=2).outputs["Two1"]["output"]
    assert [item["input"] for item in found if "input" in item] == [1, 2]
    assert sorted(item["plain"] for item in found if "plain" in item) == [1, 2]


@given(st.data())
def test_m6_a_receiver_that_asks_for_no_places_gets_no_empty_batch(data):
    graph, stage = WorkflowGraph(), Some(lambda item: item[-1] % 2, 2, 1)
    graph.connect(First(), "output", stage, "input")
    graph.connect(stage, "output0", Last(), "input")
    graph.connect(stage, "output1", Last(), "input")
    graph.connect(stage, "output1", IterativePE(), "input")
    anywhere = Anywhere(graph, data.draw)
    anywhere.run(3)
    assert sorted(item for _, item in anywhere.results) == [(1, 0), (3, 0)]


def test_c3_the_item_that_is_reported_has_no_place():
    class Fails(Last):
        def process(self, inputs):
            raise ValueError(inputs["input"])

    graph = WorkflowGraph()
    graph.connect(Root(), "output", Fails(), "input")
    with pytest.raises(ProcessingError, match="at item 1: ValueError"):
        run(graph)
    assert [failure.item for failure in run(graph, inputs=2, on_error="skip").failures] == [1, 2]


def _plain():
    graph = WorkflowGraph()
    graph.connect(Root(), "output", IterativePE(), "input")
    return graph
