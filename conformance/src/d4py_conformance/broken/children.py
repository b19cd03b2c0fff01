"""Mappings that leave something running, or wait for what will not come."""

from __future__ import annotations

import threading
from collections.abc import Callable
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from typing import Any

from d4py_conformance.broken.known import Sound
from dispel4py import WorkflowGraph
from dispel4py.errors import RunError
from dispel4py.result import RunOptions, RunResult, RunStats

__all__ = ["LeaksAThread", "LeavesPrograms", "StopsAfterTheCall", "WaitsForAStoppedWorker"]


class LeavesPrograms(Sound):
    """Has a worker process, and ends it without what it has started."""

    def run(self, graph: WorkflowGraph, inputs: Any, options: RunOptions) -> RunResult:
        """See `dispel4py.registry.Mapping`."""
        return _run_in_worker(graph, inputs, BaseProcess.kill)


class StopsAfterTheCall(Sound):
    """Has a worker process, and lets it end what it does when the run is to stop."""

    def run(self, graph: WorkflowGraph, inputs: Any, options: RunOptions) -> RunResult:
        """See `dispel4py.registry.Mapping`."""
        return _run_in_worker(graph, inputs, BaseProcess.join)


class WaitsForAStoppedWorker(LeavesPrograms):
    """Has a worker process, and waits for it, whatever has become of that."""


class LeaksAThread(Sound):
    """Leaves a thread that waits for more."""

    def end(self) -> None:
        """See `Sound.end`."""
        threading.Thread(target=threading.Event().wait, daemon=True).start()


def _run_in_worker(
    graph: WorkflowGraph, inputs: Any, stop: Callable[[BaseProcess], None]
) -> RunResult:
    context = get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    worker = context.Process(target=_work, args=(sender, graph, inputs))
    worker.start()
    sender.close()
    try:
        outputs = receiver.recv()
    except EOFError:
        raise RunError("the worker has failed") from None
    except BaseException:
        stop(worker)
        raise
    worker.join()
    return RunResult(outputs, [], RunStats("in_worker"))


def _work(sender: Any, graph: WorkflowGraph, inputs: Any) -> None:
    sender.send(Sound().run(graph, inputs, RunOptions()).outputs)
