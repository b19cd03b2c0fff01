"""The results of a run are those of `simple`, with any number of workers."""

import itertools

import pytest

from d4py_conformance.expected.compare import assert_outputs
from dispel4py import WorkflowGraph, run


def connect(graph, source, *destinations):
    for destination in destinations:
        graph.connect(source, "output", destination, "input")


class TestAsSimple:
    """Every kind of routing at 1, 2 and 5 workers."""

    @pytest.fixture(params=[1, 2, 5])
    def processes(self, request):
        return request.param

    @pytest.fixture
    def same(self, execute, processes):
        """Runs a graph on both mappings and compares the results, except for `Kept.ranks`."""

        def same(graph, inputs):
            expected = run(graph, inputs=inputs).outputs
            actual = execute(graph, inputs, processes).outputs
            for outputs in (*expected.values(), *actual.values()):
                outputs.pop("ranks", None)
            assert_outputs(actual, expected)
            return actual

        return same

    def test_c2_a_stateless_chain(self, same, flows, chain):
        same(chain(flows.Numbers(), flows.Relay(), flows.Relay()), 500)

    def test_m1_grouped_by_a_key(self, same, flows, chain):
        outputs = same(chain(flows.Words(), flows.Relay(), flows.Kept([0], 3)), 200)
        words = [{word for word, _ in got} for got in outputs["Kept2"]["output"]]
        assert sum(map(len, words)) == 5  # each word in one place only

    def test_m1_all_to_one(self, same, flows, chain):
        outputs = same(chain(flows.Numbers(), flows.Relay(), flows.Kept("global", 4)), 200)
        assert sorted(map(len, outputs["Kept2"]["output"])) == [0, 0, 0, 200]

    def test_m1_one_to_all(self, same, flows, chain):
        outputs = same(chain(flows.Numbers(), flows.Relay(), flows.Kept("all", 3)), 50)
        assert outputs["Kept2"]["output"] == [[*range(1, 51)]] * 3

    def test_m1_shuffled_between_stateful_instances(self, execute, processes, flows, chain):
        graph = chain(flows.Numbers(), flows.Relay(), flows.Kept(None, 3))
        got = execute(graph, 99, processes).outputs["Kept2"]["output"]
        assert len(got) == 3
        assert sorted(itertools.chain(*got)) == [*range(1, 100)]

    def test_g1_fan_out_and_fan_in(self, same, flows):
        graph = WorkflowGraph()
        numbers, left, right, end = (
            flows.Numbers(),
            flows.Relay(),
            flows.Relay(),
            flows.Kept(),
        )
        connect(graph, numbers, left, right)
        connect(graph, left, end)
        connect(graph, right, end)
        connect(graph, numbers, end)
        outputs = same(graph, 50)
        assert outputs["Kept3"]["output"] == [sorted([*range(1, 51)] * 3)]

    def test_c1_stateful_behind_stateful(self, same, flows, chain):
        graph = chain(
            flows.Numbers(),
            flows.Kept(None, 1),
            flows.Relay(),
            flows.Kept(),
        )
        assert same(graph, 20)["Kept3"]["output"] == [[[*range(1, 21)]]]

    def test_i3_no_items(self, same, flows, chain):
        outputs = same(chain(flows.Numbers(), flows.Relay(), flows.Kept("all", 2)), 0)
        assert outputs["Kept2"]["output"] == [[], []]


class TestInstances:
    def test_h1_a_stateful_instance_has_one_owner(self, execute, flows, chain):
        graph = chain(flows.Words(), flows.Relay(), flows.Kept([0], 4))
        places = execute(graph, 300, 3).outputs["Kept2"]["ranks"]
        owners = [tuple(place) for place in places if place]
        assert all(len(owner) == 1 for owner in owners)
        assert len(set(owners)) > 1

    def test_d2_every_replica_of_a_stateless_pe_is_finished_once(self, execute, flows, chain):
        items = execute(chain(flows.Numbers(), flows.Replica()), 200, 3).outputs["Replica1"]
        had = [int(item.split()[1]) for item in items["output"] if isinstance(item, str)]
        assert sum(had) == 200
        assert 1 <= len(had) <= 3

    def test_i3_a_replica_is_finished_even_without_items(self, execute, flows, chain):
        result = execute(chain(flows.Numbers(), flows.Replica()), 0, 3)
        assert result.outputs == {"Replica1": {"output": ["had 0"]}}

    def test_g5_a_graph_can_be_run_again(self, execute, flows, chain):
        graph = chain(flows.Numbers(), flows.Kept())
        for _ in range(2):
            assert execute(graph, 5).outputs["Kept1"]["output"] == [[1, 2, 3, 4, 5]]

    def test_stats_count_every_call(self, execute, flows, chain):
        stats = execute(chain(flows.Numbers(), flows.Relay(), flows.Kept()), 1000, 3).stats
        assert stats.items_per_pe() == {"Numbers0": 1000, "Relay1": 1000, "Kept2": 1000}
        assert (stats.mapping, stats.processes, stats.notes) == ("hybrid_redis", 3, [])


class TestInputs:
    """Numbers, lists, and iterables of any length."""

    @pytest.fixture
    def graph(self, flows, chain):
        return chain(flows.Relay(), flows.Kept())

    @pytest.mark.parametrize("count", [0, 1, 3, 5000])
    def test_g4_a_list(self, execute, graph, count):
        given = [{"input": number} for number in range(count)]
        assert execute(graph, given).outputs["Kept1"]["output"] == [[*range(count)]]

    def test_g4_a_generator(self, execute, graph):
        given = ({"input": number} for number in range(3000))
        assert execute(graph, given).outputs["Kept1"]["output"] == [[*range(3000)]]

    def test_g4_a_generator_that_waits_for_results_of_what_it_gave(self, execute, flows, chain):
        seen = []

        def one_by_one():
            for number in range(5):
                while len(seen) < number:
                    pass
                yield {"input": number}

        graph = chain(flows.Relay(), flows.Relay())
        execute(graph, one_by_one(), on_result=lambda *result: seen.append(result[2]))
        assert seen == [0, 1, 2, 3, 4]

    def test_g4_large_inputs_in_a_list(self, execute, flows, chain):
        given = [{"input": bytes([number]) * (1 << 20)} for number in range(60)]
        graph = chain(flows.Relay(), flows.Makes(lambda data: (data[0], len(data))))
        got = execute(graph, given).outputs["Makes1"]["output"]
        assert sorted(got) == [(number, 1 << 20) for number in range(60)]

    def test_g4_several_roots(self, execute, flows):
        graph = WorkflowGraph()
        first, second, end = flows.Numbers(), flows.Relay(), flows.Kept()
        connect(graph, first, end)
        connect(graph, second, end)
        given = {first: 3, second: iter([{"input": 10}, {"input": 20}])}
        assert execute(graph, given).outputs["Kept1"]["output"] == [[1, 2, 3, 10, 20]]

    def test_an_error_of_the_iterable_is_raised_unchanged(self, execute, graph):
        def broken():
            yield {"input": 1}
            raise OSError("the disk is gone")

        with pytest.raises(OSError, match="the disk is gone"):
            execute(graph, broken())


class TestItems:
    def test_m2_arrays(self, execute, flows, chain):
        numpy = pytest.importorskip("numpy")
        given = [{"input": numpy.arange(n, dtype=kind)} for n in (0, 3, 9) for kind in "if"]
        graph = chain(flows.Relay(), flows.Relay(), flows.Relay())
        got = execute(graph, given).outputs["Relay2"]["output"]
        shown = sorted((str(array.dtype), array.tolist()) for array in got)
        assert shown == sorted((str(a["input"].dtype), a["input"].tolist()) for a in given)

    @pytest.mark.parametrize("kept", [False, True])
    def test_m2_large_arrays(self, execute, flows, chain, kept):
        numpy = pytest.importorskip("numpy")
        given = [{"input": {"n": n, "wave": numpy.full(1 << 17, n, float)}} for n in range(40)]
        middle = flows.Relay()
        middle.stateful = kept
        total = flows.Makes(lambda data: (data["n"], float(data["wave"].sum())))
        got = execute(chain(flows.Relay(), middle, total), given).outputs["Makes2"]["output"]
        assert sorted(got) == [(n, float(n << 17)) for n in range(40)]

    def test_m2_objects_of_the_workflows_own_classes(self, execute, flows, chain):
        graph = chain(flows.Samples(), flows.Relay(), flows.Values(), flows.Kept())
        assert execute(graph, 5).outputs["Kept3"]["output"] == [[1, 2, 3, 4, 5]]

    def test_m2_functions(self, execute, flows, chain):
        given = [{"input": lambda number, n=n: number * n} for n in range(5)]
        stateful = flows.Makes(lambda function: function(10))
        stateful.stateful = True
        got = execute(chain(flows.Relay(), stateful), given).outputs["Makes1"]["output"]
        assert sorted(got) == [0, 10, 20, 30, 40]

    def test_m3_items_between_stateful_instances_stay_in_order(self, execute, flows, chain):
        first = flows.Relay()
        first.stateful = True
        last = flows.Relay()
        last.stateful = True
        graph = chain(flows.Numbers(), first, last)
        for processes in (1, 2, 4):
            got = execute(graph, 20_000, processes).outputs["Relay2"]["output"]
            assert got == [*range(1, 20_001)]
