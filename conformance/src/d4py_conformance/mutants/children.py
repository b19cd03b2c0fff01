"""Mappings that leave something running, or wait for what will not come."""

from __future__ import annotations

import subprocess
import sys
import threading
from multiprocessing.process import BaseProcess
from typing import Any

from d4py_conformance.mutants.in_worker import run_in_worker
from d4py_conformance.mutants.sound import Sound
from dispel4py import WorkflowGraph
from dispel4py.result import RunOptions, RunResult


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


class LeaksAProcess(Sound):
    """Leaves a process of a session of its own, so that no signal to the group would find it."""

    def end(self) -> None:
        self.worker = subprocess.Popen(
            [sys.executable, "-c", "import time; time.sleep(30)"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
