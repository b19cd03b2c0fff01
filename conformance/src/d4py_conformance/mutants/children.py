"""Mappings that leave something running, or wait for what will not come."""

from __future__ import annotations

import threading
from multiprocessing.process import BaseProcess
from typing import Any

from d4py_conformance.mutants.known import Sound, run_in_worker
from dispel4py import WorkflowGraph
from dispel4py.result import RunOptions, RunResult

__all__ = ["LeaksAThread", "LeavesPrograms", "StopsAfterTheCall", "WaitsForAStoppedWorker"]


class LeavesPrograms(Sound):
    """Has a worker process, and ends it without what it has started."""

    def run(self, graph: WorkflowGraph, inputs: Any, options: RunOptions) -> RunResult:
        """See `dispel4py.registry.Mapping`."""
        return run_in_worker(graph, inputs)


class StopsAfterTheCall(Sound):
    """Has a worker process, and lets it end what it does when the run is to stop."""

    def run(self, graph: WorkflowGraph, inputs: Any, options: RunOptions) -> RunResult:
        """See `dispel4py.registry.Mapping`."""
        return run_in_worker(graph, inputs, stop=BaseProcess.join)


class WaitsForAStoppedWorker(LeavesPrograms):
    """Has a worker process, and waits for it, whatever has become of that."""


class LeaksAThread(Sound):
    """Leaves a thread that waits for more."""

    def end(self) -> None:
        """See `Sound.end`."""
        threading.Thread(target=threading.Event().wait, daemon=True).start()
