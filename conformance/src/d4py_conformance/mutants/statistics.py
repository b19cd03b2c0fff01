"""Mappings whose statistics are wrong, or that take their time at the end."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

from d4py_conformance.mutants.sound import Sound
from dispel4py import WorkflowGraph
from dispel4py.result import RunOptions, RunResult, RunStats

#: How long one of them sleeps.
NAP_SECONDS = 0.35


class LosesStatistics(Sound):
    """Has one entry for each PE, that of the instance that was done last."""

    def run(self, graph: WorkflowGraph, inputs: Any, options: RunOptions) -> RunResult:
        result = super().run(graph, inputs, options)
        by_pe = {entry.pe_id: entry for entry in result.stats.instances}
        result.stats.instances = [*by_pe.values()]
        return result


class NeverReports(Sound):
    """Reports no progress until it is done."""

    def report(self, stats: RunStats) -> None:
        pass


class ReportsNonsense(Sound):
    """Shows what was done since the last time in place of all that was done."""

    shown: dict[int, int]

    def run(self, graph: WorkflowGraph, inputs: Any, options: RunOptions) -> RunResult:
        self.shown = {}
        return super().run(graph, inputs, options)

    def report(self, stats: RunStats) -> None:
        entries = []
        for i, entry in enumerate(stats.instances):
            entries.append(replace(entry, items=entry.items - self.shown.get(i, 0)))
            self.shown[i] = entry.items
        super().report(replace(stats, instances=entries))


class SleepsAtTheEnd(Sound):
    """Waits for processes to finish, whether there are any or not."""

    def end(self) -> None:
        time.sleep(NAP_SECONDS)
