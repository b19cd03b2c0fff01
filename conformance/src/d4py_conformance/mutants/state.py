"""Mutants that break rules I6 and I7: undeclared state and random numbers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from d4py_conformance.mutants.sound import Sound
from dispel4py import WorkflowGraph
from dispel4py.engine.planning.plan import Plan
from dispel4py.result import RunOptions, RunResult


class LeavesStateAlone(Sound):
    """Does not hand the options on to the plan, so that a strict run is none."""

    def planned(self, plan: Plan) -> Plan:
        return replace(super().planned(plan), strict=False)


class TellsNothingOfState(Sound):
    """Makes up statistics of its own, without what was noticed."""

    def run(self, graph: WorkflowGraph, inputs: Any, options: RunOptions) -> RunResult:
        result = super().run(graph, inputs, options)
        for entry in result.stats.instances:
            entry.changed = ()
        return result


class OneSeedForAll(Sound):
    """Gives every run the same seed."""

    def planned(self, plan: Plan) -> Plan:
        return replace(super().planned(plan), seed=0)


class SeedsByProcess(Sound):
    """Has instances draw from one generator, which depends on which of them comes first."""

    def start(self, pe: int, instance: int) -> None:
        super().start(pe, instance)
        runner = self.executor.start(pe, instance)
        runner._stream = self.executor.start(*self.first)._stream

    def planned(self, plan: Plan) -> Plan:
        self.first = plan.order[-1], 0
        return super().planned(plan)
