"""Mappings that start their worker processes in a way that not every program bears."""

from __future__ import annotations

from typing import Any

from d4py_conformance.mutants.in_worker import run_in_worker
from d4py_conformance.mutants.sound import Sound
from dispel4py import RunOptions, RunResult, WorkflowGraph


class ForksBesideThreads(Sound):
    """Forks its worker, whatever threads libraries have started."""

    def run(self, graph: WorkflowGraph, inputs: Any, options: RunOptions) -> RunResult:
        return run_in_worker(graph, inputs, start_method="fork", lost=dict)
