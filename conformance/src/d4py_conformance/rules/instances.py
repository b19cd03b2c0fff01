"""Rules I1 to I4: how many instances a PE has, and what happens to each."""

from __future__ import annotations

from typing import Any

import pytest

from d4py_conformance.expected.compare import assert_outputs
from d4py_conformance.pes.common import Identity, Numbers, Ports, Relay
from d4py_conformance.pes.copies import SendsHowItWasCopied
from d4py_conformance.pes.lifecycle import Diary, KeptDiary, Talker, TalkingNumbers
from d4py_conformance.pes.proxies import HoldsProxies
from d4py_conformance.suite import Execute, Require, Suite, chain, results
from dispel4py import WorkflowGraph


def check_diaries(diaries: list[list[Any]], items: list[Any]) -> None:
    """Each diary starts with one preprocess; together they hold every item once."""
    assert [diary[:1] for diary in diaries] == [["pre"]] * len(diaries)
    held = [event for diary in diaries for event in diary[1:]]
    assert_outputs({"all": {"diaries": held}}, {"all": {"diaries": items}})


class InstanceRules(Suite):
    """Instances and their life cycle."""

    def test_i1_a_root_has_one_instance(self, execute: Execute) -> None:
        numbers = Numbers()
        numbers.numprocesses = 3
        assert_outputs(
            execute(chain(numbers, Relay()), 9).outputs, {"Relay1": {"output": [*range(1, 10)]}}
        )

    def test_i1_a_single_pe_has_one_instance(self, execute: Execute, require: Require) -> None:
        require("stateful", "lifecycle")
        diary = KeptDiary(numprocesses=3)
        diary.single = True
        diaries = results(execute(chain(Numbers(), diary), 5), "KeptDiary1")
        assert diaries == [["pre", 1, 2, 3, 4, 5]]

    def test_i1_a_grouped_pe_has_numprocesses_instances(
        self, execute: Execute, require: Require
    ) -> None:
        require("stateful", "group_by", "lifecycle")
        diary = Diary(grouping="global", numprocesses=3)
        diaries = results(execute(chain(Numbers(), diary), 5), "Diary1")
        assert len(diaries) == 3

    def test_i2_preprocess_comes_first_and_once(self, execute: Execute, require: Require) -> None:
        require("lifecycle")
        diaries = results(execute(chain(Numbers(), Diary(numprocesses=3)), 50), "Diary1")
        check_diaries(diaries, [*range(1, 51)])

    def test_i2_all_three_may_write(self, execute: Execute, require: Require) -> None:
        require("stateful", "lifecycle")
        talker = Talker()
        talker.stateful = True
        outputs = execute(chain(Numbers(), talker, Relay()), 3).outputs
        assert_outputs(outputs, {"Relay2": {"output": ["pre", 1, 2, 3, "post"]}})

    def test_i2_what_preprocess_writes_arrives_first(
        self, execute: Execute, require: Require
    ) -> None:
        require("stateful", "lifecycle")
        diaries = results(execute(chain(TalkingNumbers(), KeptDiary()), 3), "KeptDiary1")
        assert diaries == [["pre", "pre", 1, 2, 3, "post"]]

    def test_i2_a_root_is_pre_and_postprocessed(self, execute: Execute, require: Require) -> None:
        require("lifecycle")
        outputs = execute(chain(TalkingNumbers(), Relay()), 2).outputs
        assert_outputs(outputs, {"Relay1": {"output": ["pre", 1, 2, "post"]}})

    def test_i2_each_call_brings_one_input(self, execute: Execute) -> None:
        graph = WorkflowGraph()
        numbers, ports = Numbers(), Ports("left", "right")
        graph.connect(numbers, "output", ports, "left")
        graph.connect(numbers, "output", ports, "right")
        assert_outputs(
            execute(graph, 20).outputs,
            {"Ports1": {"output": [(side, n) for side in ("left", "right") for n in range(1, 21)]}},
        )

    def test_i2_each_instance_owns_a_copy(self, execute: Execute, require: Require) -> None:
        require("stateful", "broadcast", "lifecycle")
        diary = Diary(grouping="all", numprocesses=2)
        diaries = results(execute(chain(Numbers(), diary), 4), "Diary1")
        assert diaries == [["pre", 1, 2, 3, 4]] * 2
        assert diary.events == []

    def test_i2_the_copy_is_what_pickle_makes_of_the_pe(self, execute: Execute) -> None:
        graph = chain(Numbers(), SendsHowItWasCopied())
        assert results(execute(graph, 2), "SendsHowItWasCopied1") == ["by pickle"] * 2

    def test_i2_a_pe_may_hold_proxies_of_what_is_not_there(
        self, execute: Execute, require: Require
    ) -> None:
        require("lifecycle")
        found = results(execute(chain(Numbers(), HoldsProxies()), 3), "HoldsProxies1")
        assert sorted(found) == [1, 2, 3]

    def test_i3_an_instance_without_items_lives_all_the_same(
        self, execute: Execute, require: Require
    ) -> None:
        require("lifecycle")
        diaries = results(execute(chain(Numbers(), Diary()), 0), "Diary1")
        assert diaries
        check_diaries(diaries, [])

    def test_i3_a_stateful_instance_without_items_lives_once(
        self, execute: Execute, require: Require
    ) -> None:
        require("stateful", "lifecycle")
        assert results(execute(chain(Numbers(), KeptDiary()), 0), "KeptDiary1") == [["pre"]]

    def test_i4_a_pe_knows_its_id_and_rank_and_may_log(
        self,
        execute: Execute,
        caplog: pytest.LogCaptureFixture,
        capfd: pytest.CaptureFixture[str],
    ) -> None:
        with caplog.at_level("INFO", logger="dispel4py.run"):
            outputs = results(execute(chain(Numbers(), Relay(), Identity()), 5), "Identity2")
        assert len(outputs) == 5
        for pe_id, rank in outputs:
            assert pe_id == "Identity2"
            assert isinstance(rank, int)
            assert rank >= 0
        # Where the run was asked for, or on the standard error that its processes share.
        seen = f"{caplog.text}\n{capfd.readouterr().err}"
        for n in range(1, 6):
            lines = [line for line in seen.splitlines() if f"at {n}" in line]
            assert len(lines) == 1, seen
            assert "Identity2" in lines[0]
