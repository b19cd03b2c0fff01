"""Rules C1, C3 and I7: a run counts its calls and reports progress.

`RunStats` is what a caller sees of a run beside its results.  It has no rule of its own: the calls
that are counted are those of which C1 requires that they are complete.
"""

from __future__ import annotations

import time

from d4py_conformance.pes.common import Numbers, Pause, Relay, Silent, Sorter, Tag
from d4py_conformance.pes.failing import Fails
from d4py_conformance.pes.lifecycle import Diary
from d4py_conformance.suite import Execute, Require, Suite, chain
from dispel4py import RunStats, WorkflowGraph
from dispel4py.registry import Mapping

SEED = 20_261_129
#: A run that shows its progress lasts for so many calls of so many seconds.
CALLS, CALL_SECONDS = 30, 0.05


class StatisticsRules(Suite):
    """`RunResult.stats` and `RunOptions.on_progress`."""

    def test_c1_every_call_is_counted(self, execute: Execute) -> None:
        graph = WorkflowGraph()
        numbers, sorter, many = Numbers(), Sorter(), Relay("Many", numprocesses=3)
        graph.connect(numbers, "output", sorter, "input")
        graph.connect(sorter, "all", many, "input")
        graph.connect(sorter, "odd", Tag("x"), "input")
        counted = execute(graph, 20).stats.items_per_pe()
        assert counted == {"Numbers0": 20, "Sorter1": 20, "Many2": 40, "Tag3": 10}

    def test_c1_every_call_of_every_instance_is_counted(
        self, execute: Execute, require: Require
    ) -> None:
        require("stateful", "group_by", "broadcast")
        graph = WorkflowGraph()
        numbers, tag = Numbers(), Tag("x")
        grouped, all_of_them = Diary([1], numprocesses=3), Diary("all", numprocesses=3)
        graph.connect(numbers, "output", tag, "input")
        graph.connect(tag, "output", grouped, "input")
        graph.connect(tag, "output", all_of_them, "input")
        stats = execute(graph, 20).stats
        assert stats.items_per_pe() == {"Numbers0": 20, "Tag1": 20, "Diary2": 20, "Diary3": 60}
        assert [entry.items for entry in stats.instances if entry.pe_id == "Diary3"] == [20] * 3

    def test_c1_the_time_in_pes_is_measured(
        self, execute: Execute, loaded_mapping: Mapping
    ) -> None:
        started_at = time.perf_counter()
        stats = execute(chain(Numbers(), Pause(0.02), Relay()), 10, seed=SEED).stats
        passed = time.perf_counter() - started_at
        assert stats.mapping == loaded_mapping.name
        assert isinstance(stats.processes, int)
        assert stats.processes >= 1
        assert 0 < stats.seconds <= passed
        spent: dict[str, float] = {}
        for entry in stats.instances:
            assert entry.pe_id in ("Numbers0", "Pause1", "Relay2")
            assert entry.rank >= 0
            assert 0 <= entry.seconds <= passed, entry
            spent[entry.pe_id] = spent.get(entry.pe_id, 0.0) + entry.seconds
        assert spent["Pause1"] >= 10 * 0.02
        # A PE is not charged with the time of one that it feeds.
        assert spent["Numbers0"] < spent["Pause1"]

    def test_i7_the_seed_is_among_the_statistics(self, execute: Execute) -> None:
        assert execute(chain(Numbers(), Relay()), 1, seed=SEED).stats.seed == SEED

    def test_c3_calls_that_failed_are_counted(self, execute: Execute) -> None:
        graph = chain(Numbers(), Fails(at=[3, 6, 9]), Tag("x"))
        result = execute(graph, 10, on_error="skip")
        assert result.stats.items_per_pe() == {"Numbers0": 10, "Fails1": 10, "Tag2": 7}
        assert len(result.failures) == 3

    def test_c1_a_pe_that_got_items_and_sent_none_is_noted(self, execute: Execute) -> None:
        notes = execute(chain(Numbers(), Silent(), Relay()), 4).stats.notes
        assert [note for note in notes if "Silent1 got 4 items and sent none" in note]
        assert not [note for note in notes if "Numbers0" in note or "Relay2" in note]

    def test_c1_progress_is_reported_while_a_run_goes_on(self, execute: Execute) -> None:
        """It never goes backwards, and never beyond what was done in the end."""
        seen: list[tuple[float, dict[str, int]]] = []

        def look(stats: RunStats) -> None:
            seen.append((stats.seconds, stats.items_per_pe()))

        graph = chain(Numbers(), Pause(CALL_SECONDS), Relay())
        stats = execute(graph, CALLS, on_progress=look).stats
        done = dict.fromkeys(("Numbers0", "Pause1", "Relay2"), CALLS)
        assert stats.items_per_pe() == done
        assert any(0 < counted.get("Pause1", 0) < CALLS for _, counted in seen), seen
        before: tuple[float, dict[str, int]] = (0.0, {})
        for seconds, counted in [*seen, (stats.seconds, done)]:
            assert seconds >= before[0], seen
            for pe_id, count in before[1].items():
                assert count <= counted.get(pe_id, 0), seen
            before = seconds, counted
