"""Rules C of DESIGN.md on the mapping `simple`: completion, results and their order."""

import random

import pytest
from core_helpers.simple_graphs import Count, Each, Where, chain, outputs

from dispel4py import ConsumerPE, GenericPE, WorkflowGraph, run
from dispel4py.mappings.simple import SimpleMapping


def test_c1_instance_is_postprocessed_after_all_upstream_of_it():
    events = []

    class Noted(Each):
        def postprocess(self):
            events.append(self.name)
            self.write("output", self.name)

    def noted(name):
        pe = Noted(lambda data: events.append((name, data)) or data)
        pe.name = name
        return pe

    source, left, right, meet = noted("source"), noted("left"), noted("right"), noted("meet")
    graph = WorkflowGraph()
    graph.add(meet)  # joined first, to no avail
    for pe in (right, left):
        graph.connect(source, "output", pe, "input")
        graph.connect(pe, "output", meet, "input")

    run(graph, inputs=[{"input": "item"}])

    for upstream, downstream in (("source", "left"), ("source", "right"), ("left", "meet")):
        assert events.index(upstream) < events.index(downstream)
        assert events.index((downstream, upstream)) < events.index(downstream)
    assert events[-1] == "meet"


def test_c2_results_are_what_reaches_an_output_without_an_edge():
    class Splits(GenericPE):
        def __init__(self):
            super().__init__()
            self._add_input("input")
            for name in ("even", "odd", "never"):
                self._add_output(name)

        def process(self, inputs):
            return {("even", "odd")[inputs["input"] % 2]: inputs["input"]}

    splits = Splits()
    graph = chain(Count(), splits)
    graph.connect(splits, "even", ConsumerPE(), "input")

    assert run(graph, inputs=5).outputs == {"Splits1": {"odd": [1, 3, 5]}}


def test_c2_on_result_gets_results_instead():
    got = []

    result = run(chain(Count(), Each()), inputs=2, on_result=lambda *one: got.append(one))

    assert got == [("Each1", "output", 1), ("Each1", "output", 2)]
    assert result.outputs == {}


def order_graph() -> WorkflowGraph:
    """Two roots, ways of different length to one place, several instances, write and return."""

    class Twice(Where):
        def process(self, inputs):
            self.write("output", inputs["input"])
            if inputs["input"] % 3:
                return {"output": -inputs["input"]}
            return None

    source, other, long, meet = Count(), Count(), Twice(numprocesses=3), Each(numprocesses=2)
    graph = chain(source, long, Each(), meet)
    graph.connect(source, "output", meet, "input")
    graph.connect(other, "output", meet, "input")
    return graph


def test_c2_order_of_results_does_not_depend_on_time(monkeypatch):
    expected = outputs(order_graph(), 30)
    assert len(expected) == 110

    for seed in range(5):
        chance, now = random.Random(seed), 0.0

        def erratic(chance=chance):
            nonlocal now
            now += chance.choice([0, 0, 0.001, 0.1])
            return now

        assert outputs(order_graph(), 30, SimpleMapping(clock=erratic)) == expected


def test_c2_order_of_one_output_does_not_depend_on_time_where_batches_are_used():
    graph = chain(Count(), Each(lambda data: data if data % 7 else None), Each())
    expected = outputs(graph, 5000)
    chance, now = random.Random(1), 0.0

    def erratic():
        nonlocal now
        now += chance.choice([0, 0, 0, 0.004, 0.1])
        return now

    found = outputs(graph, 5000, SimpleMapping(clock=erratic))

    assert found == expected == [n for n in range(1, 5001) if n % 7]


def test_c2_items_of_a_slow_root_arrive_before_its_next_call():
    events, now = [], 0.0

    class Slow(Count):
        def _process(self, inputs):
            nonlocal now
            now += 1.0
            events.append("call")
            return super()._process(inputs)

    run(
        chain(Slow(), Each()),
        SimpleMapping(clock=lambda: now),
        inputs=3,
        on_result=lambda pe, output, data: events.append(data),
    )

    assert events == ["call", 1, "call", 2, "call", 3]


def test_generator_inputs_are_read_as_the_run_goes():
    events = []

    def rows():
        for i in range(3):
            events.append(f"read {i}")
            yield {"input": i}

    join = Each(lambda data: events.append(f"got {data}"))
    graph = chain(Each(), join)
    graph.connect(Count(), "output", join, "input")  # fan-in: items travel one by one

    run(graph, inputs={"Each0": rows()})

    assert events == [event for i in range(3) for event in (f"read {i}", f"got {i}")]


def test_error_in_the_callers_generator_is_the_callers():
    def rows():
        yield {"input": 1}
        raise OSError("disk gone")

    with pytest.raises(OSError, match="disk gone"):
        run(chain(Each(), Each()), inputs=rows())


def test_progress_is_seen_with_the_stats_so_far(monkeypatch):
    from dispel4py.mappings import simple

    now = 0.0

    def pass_time(data):
        nonlocal now
        now += 0.3
        return data

    monkeypatch.setattr(simple, "monotonic", lambda: now)
    seen = []

    run(
        chain(Count(), Each(pass_time)),
        inputs=4,
        on_progress=lambda stats: seen.append(stats.items_per_pe()["Each1"]),
    )

    assert seen
    assert seen == sorted(seen)
