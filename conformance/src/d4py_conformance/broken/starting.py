"""Mappings that start their worker processes in a way that not every program bears."""

from __future__ import annotations

from multiprocessing import get_context
from typing import Any

from d4py_conformance.broken.known import Sound
from dispel4py import RunOptions, RunResult, WorkflowGraph
from dispel4py.result import RunStats


class ForksBesideThreads(Sound):
    """Forks its worker, whatever threads libraries have started."""

    def run(self, graph: WorkflowGraph, inputs: Any, options: RunOptions) -> RunResult:
        context = get_context("fork")
        receiver, sender = context.Pipe(duplex=False)
        worker = context.Process(target=_work, args=(sender, graph, inputs))
        worker.start()
        sender.close()
        try:
            outputs = receiver.recv()
        except EOFError:
            outputs = {}
        worker.join()
        return RunResult(outputs, [], RunStats(self.name))


def _work(sender: Any, graph: WorkflowGraph, inputs: Any) -> None:
    sender.send(Sound().run(graph, inputs, RunOptions()).outputs)
