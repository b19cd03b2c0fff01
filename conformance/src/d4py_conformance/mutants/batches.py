"""Mutants that break rule M7: batches of items, and what comes of one that fails."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from unittest.mock import patch

from d4py_conformance.mutants.sound import Sound
from dispel4py import WorkflowGraph
from dispel4py.engine.calls.batch_calls import BatchCalls
from dispel4py.engine.calls.batch_writer import BatchWriter
from dispel4py.engine.planning.batch_growth import BatchBounds
from dispel4py.engine.planning.plan import Plan
from dispel4py.result import RunOptions, RunResult


class IgnoresBatchSize(Sound):
    """Makes batches as large as it likes."""

    def planned(self, plan: Plan) -> Plan:
        plan = super().planned(plan)
        pes = [
            pe if pe.batch is None else replace(pe, batch=BatchBounds(1024, 0.0)) for pe in plan.pes
        ]
        return replace(plan, pes=tuple(pes))


class SkipsWholeBatches(Sound):
    """Skips all items of a batch that fails."""

    def run(self, graph: WorkflowGraph, inputs: Any, options: RunOptions) -> RunResult:
        with patch.object(BatchWriter, "take_back", lambda writer: False):
            return super().run(graph, inputs, options)


class KeepsOutputOfFailedBatches(Sound):
    """Repeats a batch that fails, and sends what it had written, too."""

    def run(self, graph: WorkflowGraph, inputs: Any, options: RunOptions) -> RunResult:
        with patch.object(BatchWriter, "take_back", lambda writer: True):
            return super().run(graph, inputs, options)


class RepeatsChangedItems(Sound):
    """Repeats a batch that fails with the items as the call has left them."""

    def run(self, graph: WorkflowGraph, inputs: Any, options: RunOptions) -> RunResult:
        with patch.object(BatchCalls, "_spare", lambda calls, batch: batch):
            return super().run(graph, inputs, options)
