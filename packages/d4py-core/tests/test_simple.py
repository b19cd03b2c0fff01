"""The rules of DESIGN.md, by number, on the mapping `simple`."""

import itertools
import random
import sys

import pytest

from dispel4py import (
    CompositePE,
    ConsumerPE,
    GenericPE,
    IterativePE,
    ProducerPE,
    WorkflowGraph,
    run,
)
from dispel4py.errors import GraphError
from dispel4py.mappings.simple import SimpleMapping


class Count(ProducerPE):
    """1, 2, 3, …"""

    total = 0

    def _process(self, inputs):
        self.total += 1
        return self.total


class Each(IterativePE):
    """Calls a function on each item."""

    def __init__(self, work=lambda data: data, numprocesses=1, grouping=None):
        super().__init__()
        self.work, self.numprocesses = work, numprocesses
        if grouping is not None:
            self.inputconnections["input"]["grouping"] = grouping

    def _process(self, data):
        return self.work(data)


class Where(GenericPE):
    """Says which of its instances got an item."""

    made = 0

    def __init__(self, grouping=None, numprocesses=4):
        super().__init__(numprocesses)
        self._add_input("input", grouping=grouping)
        self._add_output("output")

    def preprocess(self):
        Where.made += 1
        self.own_number = Where.made

    def process(self, inputs):
        return {"output": (self.own_number, inputs["input"])}


def chain(*nodes) -> WorkflowGraph:
    graph = WorkflowGraph()
    for node in nodes:
        graph.add(node)
    for source, destination in itertools.pairwise(nodes):
        graph.connect(source, "output", destination, "input")
    return graph


def outputs(graph, inputs=1, mapping="simple", **options) -> list:
    """What the only output without an edge got."""
    ((only,),) = (
        by_output.values() for by_output in run(graph, mapping, inputs, **options).outputs.values()
    )
    return only


# Graph


def test_g1_fan_out_reaches_every_edge():
    source, one, other = Count(), Each(), Each()
    graph = chain(source, one)
    graph.connect(source, "output", other, "input")
    graph.connect(source, "output", other, "input")

    assert run(graph, inputs=2).outputs == {
        "Each1": {"output": [1, 2]},
        "Each2": {"output": [1, 1, 2, 2]},
    }


def test_g1_fan_in_takes_from_every_edge():
    meet = Each()
    graph = chain(Count(), meet)
    graph.connect(Count(), "output", meet, "input")

    assert sorted(outputs(graph, 2)) == [1, 1, 2, 2]


def test_g1_edges_to_two_inputs_are_told_apart():
    class Join(GenericPE):
        def __init__(self):
            super().__init__()
            self._add_input("left")
            self._add_input("right")
            self._add_output("output")

        def process(self, inputs):
            return {"output": dict(inputs)}

    source, join = Count(), Join()
    graph = WorkflowGraph()
    graph.connect(source, "output", join, "left")
    graph.connect(source, "output", join, "right")

    assert outputs(graph) == [{"left": 1}, {"right": 1}]


def test_g2_composites_run_like_what_they_hold():
    inner = chain(Each(lambda data: data + 1), Each(lambda data: data * 10))
    first, last = inner.get_contained_objects()
    inner.inputmappings["in"] = (first, "input")
    inner.outputmappings["out"] = (last, "output")
    outer = CompositePE()
    outer.add(inner)
    outer._map_input("input", inner, "in")
    outer._map_output("output", inner, "out")

    assert outputs(chain(Count(), outer, Each()), 3) == [20, 30, 40]


def test_g2_cycle_is_refused_before_anything_starts():
    started = []
    one, other = Each(), Each()
    one.preprocess = lambda: started.append(1)
    graph = chain(Count(), one, other)
    graph.connect(other, "output", one, "input")

    with pytest.raises(GraphError, match="cycle"):
        run(graph)

    assert started == []


def test_g3_results_and_stats_go_by_id():
    result = run(chain(Count(), Each(), Each()), inputs=3)

    assert result.outputs == {"Each2": {"output": [1, 2, 3]}}
    assert result.stats.items_per_pe() == {"Count0": 3, "Each1": 3, "Each2": 3}


def test_g4_roots_take_the_inputs_that_name_them():
    one, other = Count(), Each()
    graph = WorkflowGraph()
    graph.add(one)
    graph.add(other)

    result = run(graph, inputs={one: 2, "Each1": ({"input": i} for i in "ab")})

    assert result.outputs == {"Count0": {"output": [1, 2]}, "Each1": {"output": ["a", "b"]}}


def test_g5_graph_can_be_run_twice():
    class Hoards(Each):
        def __init__(self):
            super().__init__()
            self.seen = []

        def _process(self, data):
            self.seen.append(data)
            return list(self.seen)

    rows = [{"input": [1]}, {"input": [2]}]
    root = Each(lambda row: row.append("seen") or row)
    graph = chain(root, Hoards())
    before = [dict(vars(pe)) for pe in graph.get_contained_objects()]

    first, second = run(graph, inputs=rows), run(graph, inputs=rows)

    assert first.outputs == second.outputs
    assert [dict(vars(pe)) for pe in graph.get_contained_objects()] == before
    assert rows == [{"input": [1]}, {"input": [2]}]


# Instances


@pytest.mark.parametrize(
    ("attributes", "expected"), [({}, 4), ({"numprocesses": 1}, 1), ({"single": True}, 1)]
)
def test_i1_pe_has_as_many_instances_as_it_asks_for(attributes, expected):
    where = Where()
    vars(where).update(attributes)

    assert len({number for number, _ in outputs(chain(Count(), where), 20)}) == expected


def test_i1_root_has_one_instance():
    root = Where(numprocesses=3)

    assert (
        len({number for number, _ in outputs(chain(root), [{"input": i} for i in range(9)])}) == 1
    )


def test_i2_every_instance_lives_its_own_life():
    events = []

    class Life(Where):
        def preprocess(self):
            super().preprocess()
            self.events = [self.own_number, "preprocess"]

        def process(self, inputs):
            self.events.append(inputs)

        def postprocess(self):
            events.append(self.events)

    run(chain(Count(), Life(numprocesses=2)), inputs=5)

    (first, *one), (second, *other) = events
    assert first != second
    assert one == ["preprocess", {"input": 1}, {"input": 3}, {"input": 5}]
    assert other == ["preprocess", {"input": 2}, {"input": 4}]


def test_i2_all_phases_may_write():
    class Talks(Each):
        def preprocess(self):
            self.write("output", "first")

        def postprocess(self):
            self.write("output", "last")

    assert outputs(chain(Count(), Talks(), Each()), 2) == ["first", 1, 2, "last"]
    assert outputs(chain(Talks(), Each()), [{"input": 1}]) == ["first", 1, "last"]


def test_i3_instances_without_items_are_pre_and_postprocessed():
    events = []

    class Idle(Each):
        def preprocess(self):
            events.append("preprocess")

        def postprocess(self):
            events.append("postprocess")

    result = run(chain(Count(), Idle(numprocesses=3)), inputs=0)

    assert sorted(events) == ["postprocess"] * 3 + ["preprocess"] * 3
    assert result.outputs == {}


def test_i4_pe_knows_its_id_and_rank(caplog):
    class Knows(Each):
        def _process(self, data):
            self.log(data)
            return self.id, self.rank

    with caplog.at_level("INFO", "dispel4py.run"):
        assert outputs(chain(Count(), Knows())) == [("Knows1", 0)]
    assert caplog.messages == ["Knows1 (rank 0): 1"]


# Items


def test_m1_shuffle_brings_each_item_to_one_instance():
    got = outputs(chain(Count(), Where()), 20)

    assert [item for _, item in got] == list(range(1, 21))
    assert len({number for number, _ in got}) == 4


def test_m1_grouping_brings_equal_keys_to_one_instance():
    words = ["a", "b", 1, 1.0, True, (1, 2), (1.0, 2)] * 3
    source = Each(lambda word: {"word": word})

    got = outputs(chain(source, Where(["word"])), [{"input": word} for word in words])

    assert len(got) == len(words)
    instances = {}
    for number, item in got:
        instances.setdefault(item["word"], set()).add(number)
    assert [len(numbers) for numbers in instances.values()] == [1] * 4


def test_m1_all_reaches_every_instance():
    got = outputs(chain(Count(), Where("all")), 3)

    assert sorted(item for _, item in got) == [1] * 4 + [2] * 4 + [3] * 4
    assert len({number for number, _ in got}) == 4


def test_m1_global_reaches_one_instance():
    got = outputs(chain(Count(), Where("global")), 3)

    assert [item for _, item in got] == [1, 2, 3]
    assert len({number for number, _ in got}) == 1


class Sender(GenericPE):
    """Sends a list and changes it afterwards."""

    def __init__(self):
        super().__init__()
        self._add_output("output")
        self.row = [1]

    def process(self, inputs):
        self.write("output", self.row)
        self.row.append("after write")
        return {"output": self.row}

    def postprocess(self):
        self.row.append("after return")


def spoil(row):
    seen = list(row)
    row.clear()
    return seen


def test_m2_nobody_sees_what_sender_or_sibling_do_later():
    source = Sender()
    graph = chain(source, Each(spoil))
    for _ in range(2):
        graph.connect(source, "output", Each(spoil), "input")
    expected = {"output": [[1], [1, "after write"]]}

    assert run(graph).outputs == {"Each1": expected, "Each2": expected, "Each3": expected}


def test_m2_results_are_not_changed_by_who_sent_them():
    assert outputs(chain(Sender())) == [[1], [1, "after write"]]


def test_m2_broadcast_instances_do_not_share():
    source = Each(lambda data: [data])

    got = outputs(chain(Count(), source, Each(spoil, numprocesses=3, grouping="all")))

    assert got == [[1]] * 3


def test_m2_share_items_hands_on_the_object_itself():
    keep = []
    source = Each(lambda data: keep)

    (got,) = outputs(chain(Count(), source, Each(lambda data: data)), share_items=True)

    assert got is keep


def test_m2_anything_that_can_be_copied_may_be_an_item():
    class Local:
        value = 5

    got = outputs(chain(Count(), Each(lambda data: [Local(), lambda: data]), Each()), 2)

    assert [(type(one), two()) for one, two in got] == [(Local, 1), (Local, 2)]


def test_m3_items_of_an_edge_stay_in_order_between_two_instances():
    # Each instance of Where passes on what it got in order; see what the next in line gets.
    graph = chain(Count(), Where(numprocesses=3), Where(numprocesses=2))

    ways = {}
    for receiver, (sender, item) in outputs(graph, 100):
        ways.setdefault((sender, receiver), []).append(item)

    assert len(ways) > 3
    assert sorted(item for items in ways.values() for item in items) == list(range(1, 101))
    assert all(items == sorted(items) for items in ways.values())


@pytest.mark.parametrize("nothing", [None, {}])
def test_m4_nothing_returned_sends_nothing(nothing):
    class Silent(Where):
        def process(self, inputs):
            return nothing

    assert run(chain(Count(), Silent()), inputs=3).outputs == {}


def test_m4_write_sends_any_number_of_times():
    class Repeats(Where):
        def process(self, inputs):
            for _ in range(inputs["input"]):
                self.write("output", inputs["input"])

    assert outputs(chain(Count(), Repeats(), Each()), 3) == [1, 2, 2, 3, 3, 3]


# Completion and results


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


def test_progress_is_told_with_the_stats_so_far(monkeypatch):
    from dispel4py.mappings import simple

    now = 0.0

    def pass_time(data):
        nonlocal now
        now += 0.3
        return data

    monkeypatch.setattr(simple, "monotonic", lambda: now)
    told = []

    run(
        chain(Count(), Each(pass_time)),
        inputs=4,
        on_progress=lambda stats: told.append(stats.items_per_pe()["Each1"]),
    )

    assert told
    assert told == sorted(told)


# Size


def test_chain_of_more_pes_than_python_nests_calls_runs():
    length = 2 * sys.getrecursionlimit()
    assert outputs(chain(Count(), *(Each() for _ in range(length))), 3) == [1, 2, 3]


def test_sieve_of_199_stateful_pes_finds_primes():
    class Sieve(IterativePE):
        stateful = True
        prime = None

        def __init__(self):
            super().__init__()
            self._add_output("prime")

        def _process(self, number):
            if self.prime is None:
                self.prime = number
                self.write("prime", number)
            elif number % self.prime:
                return number
            return None

    start = Each(lambda data: data)
    graph = chain(start, *(Sieve() for _ in range(199)))

    result = run(graph, inputs=[{"input": number} for number in range(2, 1230)])

    found = [
        number for by_output in result.outputs.values() for number in by_output.get("prime", [])
    ]
    assert len(found) == 199
    assert sorted(found) == [
        n for n in range(2, 1218) if all(n % d for d in range(2, int(n**0.5) + 1))
    ]
    assert result.outputs["Sieve199"]["output"] == [1223, 1229]


def test_tree_of_fan_outs_and_fan_ins_loses_nothing():
    layers = [[Count()]] + [[Each() for _ in range(4)] for _ in range(3)] + [[Each()]]
    graph = WorkflowGraph()
    for above, below in itertools.pairwise(layers):
        for source in above:
            for destination in below:
                graph.connect(source, "output", destination, "input")

    got = outputs(graph, 3)

    assert {n: got.count(n) for n in (1, 2, 3)} == dict.fromkeys((1, 2, 3), 4**3)


def test_numpy_counts_run():
    numpy = pytest.importorskip("numpy")
    each = Each(numprocesses=numpy.int64(2))

    assert outputs(chain(Count(), each), numpy.int64(3)) == [1, 2, 3]
