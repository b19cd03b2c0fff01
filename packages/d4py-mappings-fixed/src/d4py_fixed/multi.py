"""The mapping `multi`: one process per rank on this machine, connected by socket pairs."""

from __future__ import annotations

import argparse
import socket
from collections.abc import Callable
from functools import partial
from typing import Any

from d4py_fixed.local import add_local_arguments, run_locally
from d4py_fixed.pipes import PipeTransport
from d4py_fixed.placement import Placement, rank_pairs
from d4py_fixed.transport import Transport
from dispel4py.registry import Capabilities
from dispel4py.result import RunOptions, RunResult
from dispel4py.workflow_graph import WorkflowGraph


class MultiMapping:
    """Runs a graph on the cores of this machine, each instance in a process of its own."""

    name = "multi"
    capabilities = Capabilities(stateful=True, group_by=True, broadcast=True)

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """See `dispel4py.registry.Mapping`."""
        add_local_arguments(parser)

    def run(self, graph: WorkflowGraph, inputs: Any, options: RunOptions) -> RunResult:
        """See `dispel4py.registry.Mapping`."""
        return run_locally(self.name, PipeWiring, graph, inputs, options)


class PipeWiring:
    """A socket pair for every two ranks that have something to say; see `Wiring`."""

    folder: str | None = None

    def __init__(self, placement: Placement) -> None:
        self._driver = placement.ranks
        self._ends: dict[int, dict[int, socket.socket]] = {}
        for a, b in rank_pairs(placement):
            end_a, end_b = socket.socketpair()
            self._ends.setdefault(a, {})[b] = end_a
            self._ends.setdefault(b, {})[a] = end_b

    def driver(self) -> Transport:
        self._close_all_but(self._driver)
        return PipeTransport(self._ends[self._driver])

    def recipe(self, rank: int) -> Callable[[], Transport]:
        return partial(PipeTransport, self._ends[rank])

    def close(self) -> None:
        self._close_all_but(None)

    def _close_all_but(self, keep: int | None) -> None:
        for rank, ends in self._ends.items():
            if rank != keep:
                for end in ends.values():
                    end.close()
