"""A run in a worker process, and mutants that lose what is in that process."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from typing import Any

from d4py_conformance.mutants.sound import Sound
from dispel4py import WorkflowGraph
from dispel4py.errors import RunError
from dispel4py.result import RunOptions, RunResult, RunStats


class CutsThreads(Sound):
    """Has a worker process that ends at the last result, whatever still runs there."""

    def run(self, graph: WorkflowGraph, inputs: Any, options: RunOptions) -> RunResult:
        return run_in_worker(graph, inputs, main=_work_and_go)


class LosesWhatADeadWorkerHad(Sound):
    """Has a worker process; when that dies, what it had not finished is forgotten."""

    capabilities = replace(Sound.capabilities, survives_worker_death=True)

    def run(self, graph: WorkflowGraph, inputs: Any, options: RunOptions) -> RunResult:
        return run_in_worker(graph, inputs, lost=dict)


def _work(sender: Any, graph: WorkflowGraph, inputs: Any) -> None:
    sender.send(Sound().run(graph, inputs, RunOptions()).outputs)


def _work_and_go(sender: Any, graph: WorkflowGraph, inputs: Any) -> None:
    _work(sender, graph, inputs)
    os._exit(0)


def run_in_worker(
    graph: WorkflowGraph,
    inputs: Any,
    *,
    start_method: str = "spawn",
    main: Callable[[Any, WorkflowGraph, Any], None] = _work,
    stop: Callable[[BaseProcess], None] = BaseProcess.kill,
    lost: Callable[[], dict[str, Any]] | None = None,
) -> RunResult:
    """Run a graph in a worker process.

    Args:
        graph: the graph.
        inputs: those of the run.
        start_method: how the worker is started.
        main: runs the graph in the worker, and sends the outputs.
        stop: ends the worker when this process is to stop.
        lost: gives the outputs if the worker is lost.

    Raises:
        RunError: the worker is lost.
    """
    context: Any = get_context(start_method)
    receiver, sender = context.Pipe(duplex=False)
    worker = context.Process(target=main, args=(sender, graph, inputs))
    worker.start()
    sender.close()
    try:
        outputs = receiver.recv()
    except EOFError:
        if lost is None:
            raise RunError("the worker has failed") from None
        outputs = lost()
    except BaseException:
        stop(worker)
        raise
    worker.join()
    return RunResult(outputs, [], RunStats(Sound.name))
