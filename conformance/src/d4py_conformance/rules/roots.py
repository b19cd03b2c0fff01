"""Rule D3: roots whose calls do not depend on one another, which workers may share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from d4py_conformance.expected.compare import assert_outputs
from d4py_conformance.pes.common import Numbers, Relay, Tag
from d4py_conformance.pes.lifecycle import Total
from d4py_conformance.pes.memory import Gate, Tally
from d4py_conformance.pes.roots import (
    CrashingFetch,
    FailingFetch,
    Fetch,
    MeetingFetch,
    NamedFetch,
    TalkingFetch,
)
from d4py_conformance.suite import Execute, Require, RunIsolated, Suite, chain, results
from dispel4py import ProcessingError
from dispel4py.engine.items.item_ids import call_id
from dispel4py.engine.planning.capabilities import Capabilities

#: Calls of a run; more than any mapping reads of an iterator at once.
CALLS = 1500
#: How many small items a run has in all; several times as many as may be on their way where each
#: worker holds full batches.
MANY_ITEMS = 10_000_000


def _dicts() -> Iterator[dict[str, Any]]:
    return ({"number": number} for number in range(CALLS))


#: Name → makes the inputs of a root, and what it sends then.
_FEEDS: dict[str, tuple[Callable[[], Any], list[Any]]] = {
    "number": (lambda: CALLS, ["called"] * CALLS),
    "list": (lambda: [*_dicts()], [*range(CALLS)]),
    "iterator": (_dicts, [*range(CALLS)]),
}


class RootRules(Suite):
    """Calls that are shared."""

    @pytest.mark.parametrize("feed", _FEEDS)
    def test_d3_every_call_is_made_once(self, execute: Execute, feed: str) -> None:
        make, expected = _FEEDS[feed]
        root = Fetch()
        root.numprocesses = 3
        outputs = execute(chain(root, Tag("x"), Relay()), make()).outputs
        assert_outputs(outputs, {"Relay2": {"output": [("x", data) for data in expected]}})

    @pytest.mark.parametrize("count", [0, 2])
    def test_d3_few_calls_or_none(self, execute: Execute, count: int) -> None:
        root = Fetch()
        root.numprocesses = 3
        expected = {"Relay1": {"output": ["called"] * count}} if count else {}
        assert_outputs(execute(chain(root, Relay()), count).outputs, expected)

    def test_d3_several_instances_make_calls_at_once(
        self, execute: Execute, require: Require, tmp_path: Path
    ) -> None:
        """Calls wait for each other, so they are shared or fail."""
        require("shares_calls")
        outputs = execute(chain(MeetingFetch(tmp_path, 2), Relay()), 2).outputs
        assert_outputs(outputs, {"Relay1": {"output": ["called"] * 2}})

    @pytest.mark.parametrize("feed", _FEEDS)
    def test_d3_ids_follow_from_the_number_of_the_call(self, execute: Execute, feed: str) -> None:
        make, sent = _FEEDS[feed]
        root = NamedFetch()
        root.numprocesses = 3
        expected = [(call_id("NamedFetch0.0", number), data) for number, data in enumerate(sent)]
        outputs = execute(chain(root, Relay()), make()).outputs
        assert_outputs(outputs, {"Relay1": {"output": expected}})

    def test_d3_each_copy_has_a_life_cycle_of_its_own(
        self, execute: Execute, require: Require
    ) -> None:
        require("lifecycle")
        outputs = results(execute(chain(TalkingFetch(), Relay()), 100), "Relay1")
        ends = [data[1] for data in outputs if data not in ("pre", "called")]
        assert outputs.count("pre") == len(ends) > 0
        assert outputs.count("called") == sum(ends) == 100

    def test_d3_a_call_that_fails_is_listed_with_what_it_came_with(self, execute: Execute) -> None:
        inputs = [{"number": number} for number in range(100)]
        result = execute(chain(FailingFetch(41), Relay()), inputs, on_error="skip")
        numbers = [*range(41), *range(42, 100)]
        assert_outputs(result.outputs, {"Relay1": {"output": numbers}})
        assert [failure.item for failure in result.failures] == [{"number": 41}]

    def test_d3_a_killed_worker_costs_no_call_and_doubles_none(
        self,
        run_isolated: RunIsolated,
        require: Require,
        capabilities: Capabilities,
        tmp_path: Path,
    ) -> None:
        require("survives_worker_death", "shares_calls")
        inputs = [{"number": number} for number in range(300)]
        answer = run_isolated(
            chain(CrashingFetch(tmp_path / "killed", 150), Relay()), inputs
        ).wait()
        assert not answer.errors, answer
        assert (tmp_path / "killed").exists()
        assert_outputs(answer.outputs, {"Relay1": {"output": [*range(300)]}})

    @pytest.mark.parametrize("kept", [False, True], ids=["stateless", "stateful"])
    def test_d3_a_fast_producer_waits_however_many_make_its_calls(
        self, execute: Execute, require: Require, tmp_path: Path, kept: bool
    ) -> None:
        require("bounded_memory", *(["stateful"] if kept else []))
        tally, verdict = tmp_path / "tally", tmp_path / "verdict"
        root, gate = Tally(tally, 100), Gate(tally, MANY_ITEMS, verdict)
        root.numprocesses = 3
        root.independent_calls = True
        gate.stateful = kept
        with pytest.raises(ProcessingError, match="EnoughError"):
            execute(chain(root, Relay(), gate), MANY_ITEMS // 100)
        assert int(verdict.read_text()) < MANY_ITEMS, "nothing made the producer wait"

    def test_d3_it_means_nothing_for_a_pe_that_is_fed(
        self, execute: Execute, require: Require
    ) -> None:
        require("stateful")
        total = Total()
        total.independent_calls = True
        assert_outputs(execute(chain(Numbers(), total), 20).outputs, {"Total1": {"output": [210]}})
