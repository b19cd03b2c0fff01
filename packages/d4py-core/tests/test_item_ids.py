"""M5: the ids of items, and who gets to see them."""

import itertools
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispel4py import ConsumerPE, GenericPE, IterativePE, ProducerPE, WorkflowGraph, run
from dispel4py.engine.calls.context_runner import ContextRunner
from dispel4py.engine.calls.runner import Runner
from dispel4py.engine.calls.runner_options import RunnerOptions
from dispel4py.engine.execution.executor import Executor
from dispel4py.engine.inputs import CallRange
from dispel4py.engine.items.copying import cannot_carry
from dispel4py.engine.items.item_ids import InstanceSnapshot, Item, call_id, child_id, without_ids
from dispel4py.engine.planning.plan import make_plan, replicate_stateless
from dispel4py.errors import ItemError, ProcessingError
from dispel4py.new.monitoring import ProcessTimingPE


class Count(ProducerPE):
    total = 0

    def _process(self, inputs):
        self.total += 1
        return self.total


class Relay(IterativePE):
    def _process(self, data):
        return data


class Ask(GenericPE):
    """Sends (id, item) for each item."""

    item_ids = True

    def __init__(self, grouping=None, instances=1):
        super().__init__(instances)
        self._add_input("input", grouping=grouping, optional=True)
        self._add_input("other", grouping=grouping, optional=True)
        self._add_output("output")

    def process(self, inputs):
        return {"output": (self.item_id, *inputs.values())}


class AskAtTheEnds(Ask):
    """Sends the ids of its beginning and its end, too."""

    def __init__(self, grouping=None, instances=1):
        super().__init__(grouping, instances)
        self._add_output("ends")

    def _preprocess(self):
        self.write("ends", ("first", self.item_id))

    def _postprocess(self):
        self.write("ends", ("last", self.item_id))


class Write(GenericPE):
    """Writes each item several times, by each way of writing."""

    def __init__(self, times):
        super().__init__()
        self._add_input("input")
        self._add_output("output")
        self.times = times

    def process(self, inputs):
        for _ in range(self.times):
            self.write("output", inputs["input"])
        return {"output": inputs["input"]}


def chain(*pes):
    graph = WorkflowGraph()
    for source, destination in itertools.pairwise(pes):
        graph.connect(source, "output", destination, "input")
    return graph


def asked(result):
    """The ids that came out, by PE."""
    return {
        pe_id: sorted(found[0] for found in outputs["output"])
        for pe_id, outputs in result.outputs.items()
        if pe_id.startswith("Ask")
    }


def all_ids(result):
    return [item_id for ids in asked(result).values() for item_id in ids]


# What ids are


def test_m5_an_id_is_short_text_that_can_be_a_file_name():
    ((item_id, item),) = run(chain(Count(), Ask())).outputs["Ask1"]["output"]
    assert item == 1
    assert len(item_id) == 32
    assert set(item_id) <= set("0123456789abcdef")


def test_m5_ids_are_those_of_every_release():
    # What was done under an id is found under it for ever, so ids are never to change.
    ((item_id, _),) = run(chain(Count(), Ask())).outputs["Ask1"]["output"]
    assert item_id == "89961f6f102d999b7a1732698a957f5f"


def test_m5_items_have_ids_of_their_own_in_every_run_the_same():
    graph = chain(Count(), Write(2), Write(1), Ask())
    first, second = run(graph, inputs=10), run(graph, inputs=10)
    assert first.outputs == second.outputs
    assert len(set(all_ids(first))) == 10 * 3 * 2


def test_m5_each_branch_has_other_ids():
    graph = WorkflowGraph()
    count, left, right = Count(), Ask(), Ask()
    for pe in (left, left, right):  # twice along the same edge
        graph.connect(count, "output", pe, "input")
    graph.connect(count, "output", left, "other")
    ids = all_ids(run(graph, inputs=5))
    assert len(ids) == len(set(ids)) == 5 * 4


def test_m5_each_instance_that_gets_an_item_has_another_id_for_it():
    graph = chain(Count(), Ask("all", 3), Relay(), Ask())
    ids = all_ids(run(graph, inputs=5))
    assert len(ids) == len(set(ids)) == 15


def test_m5_ids_go_along_with_groupings():
    graph = WorkflowGraph()
    pairs, ask = Relay(), Ask([0], 3)
    graph.connect(pairs, "output", ask, "input")
    given = [{"input": ("abc"[n % 3], n)} for n in range(9)]
    result = run(graph, inputs={pairs: given})
    assert len(set(all_ids(result))) == 9
    assert sorted(item for _, item in result.outputs["Ask1"]["output"]) == sorted(
        call["input"] for call in given
    )


@given(st.lists(st.integers(0, 3), min_size=1, max_size=3), st.integers(0, 6), st.booleans())
def test_m5_ids_do_not_depend_on_how_items_travel(times, calls, one_by_one):
    class OutputHandler:
        def __init__(self):
            self.results = []

        def result(self, pe_id, output, items):
            self.results += items

    graph = chain(Count(), *map(Write, times), Ask())
    exits = OutputHandler()
    executor = Executor(make_plan(graph), exits, one_by_one=one_by_one)
    inputs = iter([{}] * calls)
    while executor.call_root(0, inputs):
        pass
    expected = run(graph, inputs=calls).outputs.get(f"Ask{len(times) + 1}", {"output": []})
    assert sorted(exits.results) == sorted(expected["output"])
    assert len({found[0] for found in exits.results}) == len(exits.results)


def test_m5_the_ends_of_an_instance_have_ids_too():
    result = run(chain(Count(), AskAtTheEnds("all", 2)), inputs=1)
    ends = result.outputs["AskAtTheEnds1"]["ends"]
    assert [what for what, _ in ends] == ["first", "first", "last", "last"]
    assert len({item_id for _, item_id in ends}) == 4


def test_m5_replicas_have_different_ids_by_worker():
    planned = replicate_stateless(make_plan(chain(Count(), AskAtTheEnds()))).pes[1]
    ids = set()
    for rank in (0, 1, 1):
        runner = ContextRunner(planned, 0, lambda runner: None, RunnerOptions(rank=rank))
        runner.preprocess()
        ids.add(runner.written["ends"][0])
    assert len(ids) == 2


@pytest.mark.parametrize("share", [replicate_stateless, lambda plan: plan])
def test_d3_ids_of_calls_are_the_same_in_every_process(share):
    count = Count()
    count.independent_calls = True
    planned = share(make_plan(chain(count, Ask()))).pes[0]
    found = {}
    for number, first in enumerate([4, 0, 7]):
        runner = ContextRunner(planned, number, lambda runner: None, RunnerOptions(rank=number))
        runner.preprocess()
        for calls in (CallRange(first, 2), CallRange(first + 2, 1)):
            runner.process(None, calls)
        ids = [item.id for item in runner.written["output"]]
        found |= zip(range(first, first + 3), ids, strict=True)
    assert found == {n: child_id(call_id("Count0.0", n), "output", 0) for n in found}


# Who sees them


def test_m5_error_without_item_ids_names_the_attribute():
    class Reads(Relay):
        def _process(self, data):
            return self.item_id

    with pytest.raises(ProcessingError, match=r"Reads1 has no item_id now.*`item_ids = True`"):
        run(chain(Count(), Reads(), Ask()))


def test_m5_outside_a_call_there_is_none():
    ask = Ask()
    assert not hasattr(ask, "item_id")
    executor = Executor(make_plan(chain(Count(), Ask())), None)
    runner = executor.start(1, 0)
    runner.process("input", [Item("an id", 1)])
    runner.postprocess()
    assert "item_id" not in vars(runner.pe)


def test_a_pe_may_have_an_attribute_of_that_name():
    class Own(Relay):
        def __init__(self):
            super().__init__()
            self.item_id = 7
            self.item_ids = [1, 2]

        def _process(self, data):
            return self.item_id

    plan = make_plan(chain(Count(), Own()))
    assert not any(pe.with_ids for pe in plan.pes)
    assert run(chain(Count(), Own())).outputs == {"Own1": {"output": [7]}}


def test_m5_nothing_is_different_where_no_pe_needs_ids():
    executor = Executor(make_plan(chain(Count(), Relay(), Relay())), None)
    assert [type(executor.start(pe, 0)) for pe in range(3)] == [Runner] * 3


def test_m5_ids_end_where_no_pe_downstream_needs_them():
    graph = chain(Count(), Relay(), Ask(), Relay())
    graph.connect(graph.get_contained_objects()[0], "output", Relay(), "input")
    plan = make_plan(graph)
    assert [pe.with_ids for pe in plan.pes] == [True, True, True, False, False]
    result = run(graph, inputs=2)
    assert result.outputs["Relay4"]["output"] == [1, 2]
    assert [item for _, item in result.outputs["Relay3"]["output"]] == [1, 2]


def test_m5_ids_reach_a_pe_that_is_timed():
    result = run(chain(Count(), ProcessTimingPE(Ask())), inputs=3)
    assert asked(result) == asked(run(chain(Count(), Ask()), inputs=3))


# What items with ids are otherwise


def test_m2_receivers_share_nothing_changeable():
    class Spoil(Ask):
        def process(self, inputs):
            inputs["input"].append(self.item_id)
            return {"output": inputs["input"]}

    class Lists(ProducerPE):
        def _process(self, inputs):
            kept = [1]
            self.write("output", kept)
            kept.append("mine")
            return kept

    graph = WorkflowGraph()
    lists = Lists()
    for pe in (Spoil(), Spoil("all", 2), Relay()):
        graph.connect(lists, "output", pe, "input")
    outputs = run(graph).outputs
    assert outputs["Relay3"]["output"] == [[1], [1, "mine"]]
    changed = outputs["Spoil1"]["output"] + outputs["Spoil2"]["output"]
    assert [len(item) for item in changed] == [2, 3, 2, 2, 3, 3]
    assert len({item[-1] for item in changed}) == 6


def test_m2_a_pe_may_keep_the_array_that_it_returns():
    numpy = pytest.importorskip("numpy")

    class Keeps(Relay):
        kept = None

        def _process(self, data):
            if self.kept is not None:
                self.kept += 1
            self.kept = data
            return data

    class Arrays(ProducerPE):
        def _process(self, inputs):
            return numpy.zeros(3)

    result = run(chain(Arrays(), Keeps(), Ask()), inputs=3)
    assert [item.tolist() for _, item in result.outputs["Ask2"]["output"]] == [[0.0] * 3] * 3


def test_c3_failures_hold_items_without_ids():
    class Fails(Ask):
        def process(self, inputs):
            raise ValueError("no")

    result = run(chain(Count(), Fails()), inputs=2, on_error="skip")
    assert [failure.item for failure in result.failures] == [1, 2]
    assert [failure.error.item for failure in result.failures] == ["1", "2"]


def test_c3_so_do_those_of_items_without_a_group_key():
    result = run(chain(Count(), Ask([0], 2)), inputs=2, on_error="skip")
    assert [failure.item for failure in result.failures] == [1, 2]
    assert "from 1: input 'input' of Ask1 is grouped" in str(result.failures[0])


def test_an_item_that_fails_costs_no_other_item_its_id():
    class Third(Relay):
        def _process(self, data):
            if data % 3 == 0:
                raise ValueError("no")
            return data

    calm = run(chain(Count(), Relay(), Ask()), inputs=9).outputs["Ask2"]["output"]
    result = run(chain(Count(), Third(), Ask()), inputs=9, on_error="skip")
    assert result.outputs["Ask2"]["output"] == [found for found in calm if found[1] % 3]


def test_an_item_that_cannot_be_carried_is_named_without_its_id():
    def message(item):
        return str(cannot_carry(item, TypeError("cannot pickle it")))

    lock = {"lock": itertools.count().__next__}
    assert message(Item("an id", lock)) == message(lock)
    assert isinstance(cannot_carry(Item("an id", lock), TypeError()), ItemError)


# Instances that move


def test_h2_a_root_that_moves_goes_on_counting_its_calls():
    plan = make_plan(chain(Count(), Ask()))
    planned = plan.pes[0]

    def make(restored=None):
        runner = ContextRunner(planned, 0, lambda runner: None, restored=restored)
        runner.preprocess()
        return runner

    calm, lost = make(), make()
    calm.process(None, [{}] * 5)
    lost.process(None, [{}] * 2)
    kept = pickle.loads(lost.snapshot(pickle.dumps))
    assert isinstance(kept, InstanceSnapshot)
    heir = make(kept)
    heir.process(None, [{}] * 3)
    assert lost.written["output"] + heir.written["output"] == calm.written["output"]
    assert without_ids(calm.written["output"]) == [1, 2, 3, 4, 5]


def test_d2_a_replica_that_is_left_to_others_keeps_its_name():
    planned = replicate_stateless(make_plan(chain(Count(), AskAtTheEnds()))).pes[1]
    left = ContextRunner(planned, 0, lambda runner: None, RunnerOptions(rank=3))
    left.preprocess()
    kept = pickle.loads(left.snapshot(pickle.dumps))
    ends = []
    for rank in (4, 5):
        heir = ContextRunner(
            planned, 7, lambda runner: None, RunnerOptions(rank=rank), restored=kept
        )
        heir.preprocess()
        heir.postprocess()
        ends.append(heir.written["ends"])
    assert ends[0] == ends[1] != []


def test_ids_of_different_places_differ():
    parts = [("a", "b", 1), ("a", "b/1", 1), ("a/b", "1", 1), ("a", "b", 11)]
    assert len({child_id(*part) for part in parts[:1] + parts[3:]}) == 2
    assert child_id("a", "ż\ud800", 0)


class Consumes(ConsumerPE):
    item_ids = True

    def _process(self, data):
        self.log(f"{self.item_id} {data}")


def test_m5_a_consumer_may_ask(caplog):
    caplog.set_level("INFO", "dispel4py.run")
    run(chain(Count(), Consumes()), inputs=2)
    assert [line.split()[-1] for line in caplog.messages] == ["1", "2"]
