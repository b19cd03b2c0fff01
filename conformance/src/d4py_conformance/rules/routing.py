"""Rules M1 and M3: which instance gets an item, and in what order items arrive."""

from __future__ import annotations

import itertools
from decimal import Decimal
from fractions import Fraction
from typing import Any

from d4py_conformance.pes.common import Emit, Numbers, Relay
from d4py_conformance.pes.lifecycle import Diary, KeptDiary
from d4py_conformance.rules.instances import check_diaries
from d4py_conformance.suite import Execute, Require, RunIsolated, Suite, chain, results
from dispel4py import WorkflowGraph

#: Keys of every kind, equal ones of different types among them.
KEYS: list[Any] = [
    0, 0.0, -0.0, False, 1, 1.0, True, Decimal(1), Fraction(1), 2, 10**30, 1e30,
    0.5, Fraction(1, 2), "1", "a", b"a", "", None, (1, "a"), (1.0, "a"),
    (True, ("b", None)), (1, ("b", None)), frozenset({1, 2}), frozenset({2.0, 1.0}),
    {3, 4}, {4.0, 3}, {"k": 1, "l": 2}, {"l": 2.0, "k": True},
]  # fmt: skip


def instances_of(diaries: list[list[Any]], key: Any) -> set[int]:
    """Return numbers of the diaries that hold an item whose first element equals `key`."""
    return {i for i, diary in enumerate(diaries) if any(item[0] == key for item in diary[1:])}


class RoutingRules(Suite):
    """Groupings and order."""

    def test_m1_shuffle_sends_each_item_to_one_instance(
        self, execute: Execute, require: Require
    ) -> None:
        require("lifecycle")
        graph = chain(Numbers(), Diary(numprocesses=4))
        check_diaries(results(execute(graph, 200), "Diary1"), [*range(1, 201)])

    def test_m1_equal_keys_meet(self, execute: Execute, require: Require) -> None:
        # The keys come by several instances in between, so that several processes have to agree.
        require("stateful", "group_by", "lifecycle")
        items = [[key, i] for i in range(3) for key in KEYS]
        graph = chain(Emit(items), Relay(numprocesses=3), Diary(grouping=[0], numprocesses=4))
        diaries = results(execute(graph, 1), "Diary2")
        assert len(diaries) == 4
        check_diaries(diaries, items)
        split = {repr(key) for key in KEYS if len(instances_of(diaries, key)) != 1}
        assert not split, f"equal keys were sent to different instances: {sorted(split)}"

    def test_m1_equal_keys_meet_from_different_pes(
        self, execute: Execute, require: Require
    ) -> None:
        require("stateful", "group_by", "lifecycle")
        graph = WorkflowGraph()
        diary = Diary(grouping=[0], numprocesses=3)
        words = ["alpha", "beta", "gamma", "delta", "epsilon", "zeta"]
        for start in (0, 100):
            items = [(word, start + i) for i, word in enumerate(words)]
            graph.connect(Emit(items), "output", diary, "input")
        diaries = results(execute(graph, 1), "Diary1")
        assert all(len(instances_of(diaries, word)) == 1 for word in words)
        check_diaries(diaries, [(word, s + i) for s in (0, 100) for i, word in enumerate(words)])

    def test_m1_the_choice_does_not_depend_on_the_hash_seed(
        self, run_isolated: RunIsolated, require: Require
    ) -> None:
        require("stateful", "group_by", "lifecycle")
        items = [[word] for word in ("alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta")]
        graph = chain(Emit(items), Relay(numprocesses=2), Diary(grouping=[0], numprocesses=3))
        seeds = ("1", "2")
        runs = [run_isolated(graph, 1, environment={"PYTHONHASHSEED": seed}) for seed in seeds]
        shares = []
        for isolated in runs:
            diaries = isolated.wait().outputs["Diary2"]["output"]
            check_diaries(diaries, items)
            shares.append({frozenset(word for (word,) in diary[1:]) for diary in diaries})
        assert shares[0] == shares[1]

    def test_m1_group_by_several_keys_of_a_dict(self, execute: Execute, require: Require) -> None:
        require("stateful", "group_by", "lifecycle")
        items = [
            {"station": station, "channel": channel, "n": n}
            for n in range(3)
            for station, channel in itertools.product("ABCD", "ENZ")
        ]
        graph = chain(Emit(items), Diary(grouping=["station", "channel"], numprocesses=3))
        diaries = results(execute(graph, 1), "Diary1")
        check_diaries(diaries, items)
        seen = [{(item["station"], item["channel"]) for item in diary[1:]} for diary in diaries]
        assert sum(map(len, seen)) == 4 * 3

    def test_m1_all_sends_to_every_instance(self, execute: Execute, require: Require) -> None:
        require("stateful", "broadcast", "lifecycle")
        graph = chain(Numbers(), Relay(), Diary(grouping="all", numprocesses=3))
        diaries = results(execute(graph, 20), "Diary2")
        assert [sorted(diary[1:]) for diary in diaries] == [[*range(1, 21)]] * 3

    def test_m1_global_sends_to_instance_0(self, execute: Execute, require: Require) -> None:
        require("stateful", "group_by", "lifecycle")
        graph = chain(Numbers(), Relay(numprocesses=2), Diary(grouping="global", numprocesses=3))
        diaries = sorted(results(execute(graph, 20), "Diary2"), key=len)
        assert diaries[:2] == [["pre"], ["pre"]]
        assert sorted(diaries[2][1:]) == [*range(1, 21)]

    def test_m3_order_is_kept_on_an_edge(self, execute: Execute, require: Require) -> None:
        require("stateful", "lifecycle")
        diaries = results(execute(chain(Numbers(), KeptDiary()), 2000), "KeptDiary1")
        assert diaries == [["pre", *range(1, 2001)]]

    def test_m3_order_is_kept_within_one_call(self, execute: Execute, require: Require) -> None:
        require("stateful", "lifecycle")
        diaries = results(execute(chain(Emit(range(3000)), KeptDiary()), 1), "KeptDiary1")
        assert diaries == [["pre", *range(3000)]]

    def test_m3_order_is_kept_along_stateful_pes(self, execute: Execute, require: Require) -> None:
        require("stateful", "lifecycle")
        first, second = Relay(), Relay()
        first.stateful = second.stateful = True
        diaries = results(execute(chain(Numbers(), first, second, KeptDiary()), 500), "KeptDiary3")
        assert diaries == [["pre", *range(1, 501)]]

    def test_m3_order_is_kept_per_group(self, execute: Execute, require: Require) -> None:
        require("stateful", "group_by", "lifecycle")
        items = [(n % 7, n) for n in range(700)]
        graph = chain(Emit(items), Diary(grouping=[0], numprocesses=3))
        for diary in results(execute(graph, 1), "Diary1"):
            assert diary[1:] == sorted(diary[1:], key=lambda item: item[1])
