"""Placement: every instance in one process, no process without one, spare ones where they help."""

import itertools
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from d4py_conformance.pes.common import Numbers, Relay
from d4py_conformance.pes.failing import Fails
from d4py_conformance.pes.lifecycle import Diary, KeptDiary, Talker
from d4py_conformance.pes.order import InOrder
from d4py_conformance.suite import chain
from d4py_fixed.engine.placement import (
    Placement,
    accepts_more_instances,
    peers_of,
    place,
    rank_pairs,
    share_calls,
    wanted_partitions,
)
from dispel4py import IterativePE, WorkflowGraph
from dispel4py.base import CompositePE
from dispel4py.engine.planning.plan import make_plan


class Opens(IterativePE):
    """Has a preprocess."""

    def _preprocess(self):
        self.file = "open"


def single():
    pe = Relay(numprocesses=3)
    pe.single = True
    return pe


def independent(pe):
    """The PE, whose calls are independent if it is a root."""
    pe.independent_calls = True
    return pe


KINDS = {
    "plain": Relay,
    "shared": lambda: independent(Relay()),
    "shared, two": lambda: independent(Relay(numprocesses=2)),
    "three": lambda: Relay(numprocesses=3),
    "single": single,
    "grouped": lambda: Diary(grouping=[0]),
    "grouped, two": lambda: Diary(grouping=[0], numprocesses=2),
    "kept": KeptDiary,
    "opens": Opens,
    "talks": Talker,
    "fails": lambda: Fails(at=[1]),
}


@st.composite
def graphs(draw) -> WorkflowGraph:
    """Acyclic graphs of PEs of all kinds, some of them roots."""
    size = draw(st.integers(1, 8))
    pes = [KINDS[draw(st.sampled_from(sorted(KINDS)))]() for _ in range(size)]
    graph = WorkflowGraph()
    for pe in pes:
        graph.add(pe)
    for j in range(1, size):
        for i in draw(st.sets(st.integers(0, j - 1), max_size=2)):
            graph.connect(pes[i], "output", pes[j], "input")
    return graph


@st.composite
def parts(draw, plan) -> list[list[int]] | None:
    """Some of the PEs in some partitions."""
    if draw(st.booleans()):
        return None
    of = [draw(st.integers(0, 3)) for _ in plan.pes]
    found = [[pe for pe, part in enumerate(of) if part == number] for number in (1, 2, 3)]
    return [part for part in found if part]


def instances(plan) -> set[tuple[int, int]]:
    return {(pe.index, i) for pe in plan.pes for i in range(pe.instances)}


COUNTS = st.none() | st.integers(1, 30)


@given(st.data(), graphs(), COUNTS)
def test_every_instance_has_one_process_and_every_process_has_an_instance(data, graph, processes):
    plan = share_calls(make_plan(graph))
    placement = place(plan, processes, data.draw(parts(plan)))
    assert set(placement.rank_of) == instances(placement.plan)
    assert set(placement.rank_of.values()) == set(range(placement.ranks))
    if processes is not None:
        assert placement.ranks <= processes
    everything = [i for rank in range(placement.ranks) for i in placement.instances_on(rank)]
    assert sorted(everything) == sorted(placement.rank_of)


@given(graphs(), COUNTS)
def test_no_process_is_left_idle_that_could_have_an_instance(graph, processes):
    plan = share_calls(make_plan(graph))
    wanted = len(instances(plan))
    placement = place(plan, processes)
    if processes is None or processes == wanted:
        assert placement.ranks == wanted
    elif processes < wanted or any(map(accepts_more_instances, plan.pes)):
        assert placement.ranks == processes
    loads = Counter(placement.rank_of.values())
    assert max(loads.values()) - min(loads.values()) <= 1


@given(st.data(), graphs(), COUNTS)
def test_i1_only_spare_processes_give_more_instances(data, graph, processes):
    plan = share_calls(make_plan(graph))
    placed = place(plan, processes, data.draw(parts(plan))).plan
    assert placed.order == plan.order
    for before, after in zip(plan.pes, placed.pes, strict=True):
        if (
            processes is None
            or processes <= len(instances(plan))
            or not accepts_more_instances(before)
        ):
            assert after == before
        else:
            assert after.instances >= 1
            assert {**vars(after), "instances": 1} == vars(before)


@given(graphs(), st.integers(1, 30))
def test_i1_spare_processes_are_distributed_evenly(graph, spare):
    plan = share_calls(make_plan(graph))
    placed = place(plan, len(instances(plan)) + spare).plan
    candidates = [pe.index for pe in plan.pes if accepts_more_instances(pe)]
    got = [placed.pes[pe].instances - 1 for pe in candidates]
    assert sum(got) == (spare if candidates else 0)
    assert not got or max(got) - min(got) <= 1


@pytest.mark.parametrize(
    ("kind", "may"),
    [
        ("plain", True),
        ("three", False),
        ("single", False),
        ("grouped", False),
        ("kept", False),
        ("opens", False),
        ("talks", False),
    ],
)
def test_i1_a_pe_gets_more_instances_only_without_visible_effect(kind, may):
    plan = make_plan(chain(Numbers(), KINDS[kind]()))
    assert accepts_more_instances(plan.pes[1]) is may
    assert not accepts_more_instances(plan.pes[0]), "roots do not"


@given(st.data(), graphs(), st.integers(1, 30))
def test_partitions_stay_together_when_processes_are_few(data, graph, processes):
    plan = share_calls(make_plan(graph))
    partitions = data.draw(parts(plan))
    placement = place(plan, processes, partitions)
    if partitions and processes < len(instances(plan)):
        for part in partitions:
            ranks = {placement.rank_of[i] for i in placement.rank_of if i[0] in part}
            assert len(ranks) == 1
    elif processes >= len(instances(plan)):
        assert placement == place(plan, processes), "they do not count"


@pytest.mark.parametrize(
    ("sizes", "processes", "ranks"),
    [
        ([2, 1], 2, ["a", "ab"]),
        ([1, 2, 1], 3, ["ab", "b", "c"]),
        ([1, 4, 1], 4, ["ab", "b", "b", "bc"]),
        ([2, 2, 2], 4, ["a", "ab", "bc", "c"]),
        ([3, 3], 4, ["a", "a", "ab", "bb"]),
        ([1, 1, 1, 1], 3, ["ab", "c", "d"]),
        ([8], 3, ["aa", "aaa", "aaa"]),
    ],
)
def test_instances_of_a_pe_are_apart_where_loads_allow_it(sizes, processes, ranks):
    pes = [independent(Relay(numprocesses=size)) for size in sizes]
    placement = place(make_plan(chain(*pes)), processes)
    found = [placement.instances_on(rank) for rank in range(placement.ranks)]
    assert ["".join("abcd"[pe] for pe, _ in placed) for placed in found] == ranks


@given(graphs(), COUNTS)
def test_no_more_instances_of_a_pe_share_a_process_than_where_the_first_have_more(graph, processes):
    placement = place(make_plan(graph), processes)
    of = [pe for pe in placement.plan.order for _ in range(placement.plan.pes[pe].instances)]
    each, more = divmod(len(of), placement.ranks)
    ends = [rank * each + min(rank, more) for rank in range(placement.ranks + 1)]
    shared = [len(of[a:b]) - len({*of[a:b]}) for a, b in itertools.pairwise(ends)]
    found = Counter((rank, pe) for (pe, _), rank in placement.rank_of.items())
    assert sum(n - 1 for n in found.values()) <= sum(shared)


def test_pes_outside_of_all_partitions_share_no_process():
    numbers, relay, many = Numbers(), Relay(), Relay(numprocesses=4)
    placement = place(make_plan(chain(numbers, relay, many)), 5, [[0, 1]])
    assert placement.ranks == 5
    assert placement.rank_of[0, 0] == placement.rank_of[1, 0]


@given(st.data(), graphs(), COUNTS)
def test_without_partitions_items_only_go_to_later_ranks(data, graph, processes):
    # So ranks never wait in a cycle, and neighbours share a process.
    placement = place(make_plan(graph), processes)
    for pe in placement.plan.pes:
        for source in pe.upstream:
            senders = [r for (number, _), r in placement.rank_of.items() if number == source]
            receivers = [r for (number, _), r in placement.rank_of.items() if number == pe.index]
            assert max(senders) <= min(receivers)


@given(st.data(), graphs(), COUNTS)
def test_a_rank_runs_what_is_upstream_first(data, graph, processes):
    plan = share_calls(make_plan(graph))
    placement = place(plan, processes, data.draw(parts(plan)))
    for rank in range(placement.ranks):
        places = [(plan.order.index(pe), i) for pe, i in placement.instances_on(rank)]
        assert places == sorted(places)


@given(st.data(), graphs(), COUNTS)
def test_ranks_are_connected_where_items_can_go_and_all_to_the_driver(data, graph, processes):
    plan = share_calls(make_plan(graph))
    placement = place(plan, processes, data.draw(parts(plan)))
    wanted = {(rank, placement.ranks) for rank in range(placement.ranks)}
    for pe in placement.plan.pes:
        for (a, _), i in placement.rank_of.items():
            for (b, _), j in placement.rank_of.items():
                if a in pe.upstream and b == pe.index and i != j:
                    wanted.add((min(i, j), max(i, j)))
    assert rank_pairs(placement) == sorted(wanted)
    for a, peers in enumerate(peers_of(placement)):
        assert sorted(peers) == sorted({b for pair in wanted if a in pair for b in pair} - {a})


def test_d3_a_root_with_independent_calls_has_numprocesses_instances():
    plan = make_plan(chain(independent(Relay(numprocesses=3)), Relay()))
    assert [pe.instances for pe in place(plan, None).plan.pes] == [3, 1]
    plan = make_plan(chain(independent(Relay()), Relay()))
    assert [pe.instances for pe in place(plan, 6).plan.pes] == [3, 3], "and those left over"
    plan = make_plan(chain(independent(Talker()), Relay()))
    assert [pe.instances for pe in place(plan, 6).plan.pes] == [1, 5], "without visible effect"


def test_c6_an_ordered_input_is_connected_to_its_root():
    placement = place(make_plan(chain(Numbers(), Relay(), InOrder())), 3)
    assert [pair for pair in rank_pairs(placement) if 3 not in pair] == [(0, 1), (0, 2), (1, 2)]


def test_a_rank_is_described_by_its_pes():
    placement = place(make_plan(chain(Numbers(), Relay(numprocesses=2))), 2)
    described = [placement.describe(rank) for rank in range(2)]
    assert ", ".join(described) == "Numbers0 (instance 0), Relay1 (instance 0), Relay1 (instance 1)"


# Partitions of the graph, and the option --simple.


def shares(graph, *, simple: bool, processes: int | None) -> list[set[str]]:
    """The PEs of each process."""
    plan = make_plan(graph)
    partitions = wanted_partitions(plan, graph, simple=simple)
    placement: Placement = place(plan, processes, partitions)
    return [
        {plan.pes[pe].id for pe, _ in placement.instances_on(rank)}
        for rank in range(placement.ranks)
    ]


def test_simple_has_two_processes_one_for_the_roots():
    graph = chain(Numbers(), Relay(numprocesses=3), Relay())
    graph.connect(Numbers(), "output", graph.get_contained_objects()[1], "input")
    assert shares(graph, simple=True, processes=2) == [
        {"Numbers0", "Numbers3"},
        {"Relay1", "Relay2"},
    ]


def test_simple_with_nothing_but_roots_is_one_process():
    graph = WorkflowGraph()
    graph.add(Numbers())
    graph.add(Numbers())
    assert shares(graph, simple=True, processes=1) == [{"Numbers0", "Numbers1"}]


def test_partitions_of_the_graph_may_contain_composites():
    inside, composite, numbers, last = Relay(), CompositePE(), Numbers(), Relay()
    composite.connect(inside, "output", Relay("Second"), "input")
    composite._map_input("input", inside, "input")
    composite._map_output("output", composite.get_contained_objects()[1], "output")
    graph = chain(numbers, composite, last)
    graph.partitions = [[numbers, last], [composite]]
    assert shares(graph, simple=False, processes=2) == [
        {"Numbers0", "Relay3"},
        {"Relay1", "Second2"},
    ]
    assert shares(graph, simple=False, processes=4) == [
        {"Numbers0"},
        {"Relay1"},
        {"Second2"},
        {"Relay3"},
    ]


def test_partitions_share_processes_where_there_are_too_few():
    pes = [Numbers(), Relay(), Relay(), Relay()]
    graph = chain(*pes)
    graph.partitions = [[pe] for pe in pes]
    assert shares(graph, simple=False, processes=2) == [
        {"Numbers0", "Relay1"},
        {"Relay2", "Relay3"},
    ]
