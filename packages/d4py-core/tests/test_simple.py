"""Rules G and I of DESIGN.md on the mapping `simple`, and graphs of any size."""

import itertools
import sys

import pytest
from core_helpers.simple_graphs import Count, Each, Where, chain, outputs

from dispel4py import CompositePE, GenericPE, IterativePE, WorkflowGraph, run
from dispel4py.errors import GraphError

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


def test_g1_edges_to_two_inputs_are_distinguished():
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
