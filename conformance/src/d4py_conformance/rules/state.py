"""Rules I6 and I7: undeclared state is noticed, and an instance's random numbers are its own."""

from __future__ import annotations

import os
import random
import threading
from pathlib import Path
from typing import Any

import pytest

from d4py_conformance.expected.compare import assert_outputs
from d4py_conformance.pes.common import Numbers, Relay
from d4py_conformance.pes.roots import OverwritingFetch
from d4py_conformance.pes.state import (
    AddsDraw,
    AddsNumpyDraw,
    Best,
    Careful,
    CrashingDraws,
    DeclaredMean,
    Draws,
    DrawsAtTheEnds,
    RunningMean,
)
from d4py_conformance.suite import Execute, Require, RunIsolated, Suite, chain, results
from dispel4py import WorkflowGraph, run
from dispel4py.errors import UndeclaredStateError

SEED = 20261129
#: What a run logs, it logs below this.
LOGGER = "dispel4py"


def changed(result: Any) -> dict[str, set[str]]:
    """PE id → names of the attributes that it was found to change."""
    found: dict[str, set[str]] = {}
    for entry in result.stats.instances:
        if entry.changed:
            found.setdefault(entry.pe_id, set()).update(entry.changed)
    return found


def drawers(*pes: Any) -> WorkflowGraph:
    """Return a graph of a root that draws, and PEs that draw, each in one place."""
    return chain(Draws(), *pes)


def numbers_of(numbers: list[Any]) -> list[tuple[Any, ...]]:
    """Only the numbers, in order; skips a test whose instances are threads of one process."""
    threads = {place for item in numbers for place in item[1::2]}
    if any(process == os.getpid() for process, _ in threads):
        threads.add((os.getpid(), threading.get_ident()))
    if len({process for process, _ in threads}) < len(threads):
        pytest.skip("instances are threads of one process, which has one generator of each kind")
    return sorted(item[::2] for item in numbers)


class StateRules(Suite):
    """State of PEs, declared or not, and random numbers."""

    def test_i6_instances_that_write_to_one_file_are_reported(
        self,
        execute: Execute,
        require: Require,
        tmp_path: Path,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        require("shares_calls", "lifecycle")
        folder = tmp_path / "processes"
        folder.mkdir()
        with caplog.at_level("WARNING", LOGGER):
            execute(chain(OverwritingFetch(folder, tmp_path / "out"), Relay()), 2, processes=4)
        assert caplog.text.count("several instances of OverwritingFetch0 had") == 1
        assert str(tmp_path / "out") in caplog.text

    def test_i6_state_that_is_not_declared_is_reported_once(
        self, execute: Execute, caplog: pytest.LogCaptureFixture
    ) -> None:
        mean = RunningMean()
        mean.numprocesses = 3
        result = execute(chain(Numbers(), mean), 40)
        assert changed(result) == {"RunningMean1": {"count", "total"}}
        (message,) = [
            record.getMessage()
            for record in caplog.records
            if record.name.startswith(LOGGER) and "RunningMean1" in record.getMessage()
        ]
        for word in ("'count'", "'total'", "stateful = True", "ignored_state"):
            assert word in message

    def test_i6_state_that_begins_late_is_noticed_too(self, execute: Execute) -> None:
        graph = chain(Numbers(), Relay(), Best(30))
        assert changed(execute(graph, 40)) == {"Best2": {"best"}}

    @pytest.mark.parametrize("on_error", ["stop", "skip"])
    def test_i6_a_strict_run_refuses_it(self, execute: Execute, on_error: str) -> None:
        with pytest.raises(UndeclaredStateError) as caught:
            execute(chain(Numbers(), RunningMean(), Relay()), 40, strict=True, on_error=on_error)
        assert caught.value.pe_id == "RunningMean1"
        assert "count" in caught.value.attributes
        assert "stateful = True" in str(caught.value)

    def test_i6_a_strict_run_refuses_what_begins_late_too(self, execute: Execute) -> None:
        with pytest.raises(UndeclaredStateError, match="Best2 changed its attribute 'best'"):
            execute(chain(Numbers(), Relay(), Best(30)), 40, strict=True)

    def test_i6_what_no_result_depends_on_is_left_alone(self, execute: Execute) -> None:
        result = execute(chain(Numbers(), Relay(), Careful()), 20, strict=True)
        assert changed(result) == {}
        expected = [number**2 for number in range(1, 21)]
        assert_outputs(result.outputs, {"Careful2": {"output": expected}})

    def test_i6_declared_state_is_left_alone(self, execute: Execute, require: Require) -> None:
        require("stateful")
        result = execute(chain(Numbers(), DeclaredMean()), 5, strict=True)
        assert changed(result) == {}
        assert_outputs(result.outputs, {"DeclaredMean1": {"output": [1.0, 1.5, 2.0, 2.5, 3.0]}})

    def test_i7_the_same_seed_gives_the_same_numbers_on_every_mapping(
        self, execute: Execute
    ) -> None:
        graph = drawers(AddsDraw(), AddsDraw())
        result = execute(graph, 20, seed=SEED)
        assert result.stats.seed == SEED
        found = numbers_of(results(result, "AddsDraw2"))
        alone = run(graph, inputs=20, seed=SEED)
        assert found == numbers_of(results(alone, "AddsDraw2"))

    def test_i7_so_does_numpys_generator(self, execute: Execute) -> None:
        pytest.importorskip("numpy")
        graph = drawers(AddsNumpyDraw(), AddsNumpyDraw())
        first, alone = execute(graph, 10, seed=SEED), run(graph, inputs=10, seed=SEED)
        found = numbers_of(results(first, "AddsNumpyDraw2"))
        assert found == numbers_of(results(alone, "AddsNumpyDraw2"))
        assert len({number for item in found for number in item}) == 30

    def test_i7_another_seed_gives_other_numbers(self, execute: Execute) -> None:
        numbers = [
            number
            for seed in (1, 2)
            for number, _ in results(execute(chain(Draws(), Relay()), 5, seed=seed), "Relay1")
        ]
        assert len({*numbers}) == 10

    def test_i7_instances_draw_different_numbers(self, execute: Execute, require: Require) -> None:
        require("lifecycle")
        graph = WorkflowGraph()
        relay = Relay()
        for root in (Draws(), Draws()):
            graph.connect(root, "output", relay, "input")
        ends = DrawsAtTheEnds(numprocesses=3)
        graph.connect(relay, "output", ends, "input")
        numbers = results(execute(graph, 20, seed=SEED), "DrawsAtTheEnds3")
        assert len({*numbers}) == len(numbers) >= 2

    def test_i7_two_of_a_kind_draw_different_numbers(self, execute: Execute) -> None:
        graph = WorkflowGraph()
        for root in (Draws(), Draws()):
            graph.add(root)
        outputs = execute(graph, 5, seed=SEED).outputs
        numbers = [number for of_root in outputs.values() for number, _ in of_root["output"]]
        assert len({*numbers}) == 10

    def test_i7_the_seed_is_drawn_from_the_callers_generators(self, execute: Execute) -> None:
        pytest.importorskip("numpy")
        import numpy.random

        before = random.getstate(), numpy.random.get_state()
        try:
            seeds = []
            for runs in (2, 1):
                random.seed(7)
                numpy.random.seed(7)
                seeds += [execute(chain(Numbers(), Relay()), 1).stats.seed for _ in range(runs)]
        finally:
            random.setstate(before[0])
            numpy.random.set_state(before[1])
        assert seeds[0] == seeds[2] != seeds[1]

    def test_i7_the_callers_generators_are_left_as_they_were(self, execute: Execute) -> None:
        before = random.getstate()
        numbers_of(results(execute(drawers(AddsDraw()), 5, seed=SEED), "AddsDraw1"))
        assert random.getstate() == before

    def test_i7_a_killed_worker_changes_no_numbers(
        self, run_isolated: RunIsolated, require: Require, tmp_path: Path
    ) -> None:
        require("survives_worker_death")
        marker = tmp_path / "killed"
        graph = chain(CrashingDraws(marker, 12), Relay())
        answer = run_isolated(graph, 20, seed=SEED).wait()
        expected = run(chain(CrashingDraws(), Relay()), inputs=20, seed=SEED).outputs
        assert_outputs(answer.outputs, expected)
        assert marker.exists()
