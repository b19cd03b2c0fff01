"""The mapping `multi`: one process per rank on this machine, connected by socket pairs."""

from __future__ import annotations

import argparse
import socket
from collections.abc import Callable
from typing import Any

from d4py_fixed.engine.placement import Placement, rank_pairs
from d4py_fixed.engine.transport import Transport
from d4py_fixed.local.launch import (
    MakeTransport,
    add_local_arguments,
    check_locally,
    run_locally,
)
from d4py_fixed.local.socket_transport import SocketTransport
from dispel4py.engine.planning.capabilities import Capabilities
from dispel4py.files.file_limit import FILES_PER_WORKER, raise_file_limit
from dispel4py.result import RunOptions, RunResult
from dispel4py.workflow_graph import WorkflowGraph

#: Rank → other rank → socket.
_Ends = dict[int, dict[int, socket.socket]]


class MultiMapping:
    """Runs a graph on the cores of this machine, by default with a process for each instance."""

    name = "multi"
    capabilities = Capabilities(
        stateful=True, group_by=True, broadcast=True, ordered=True, shares_calls=True
    )

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """See `dispel4py.registry.Mapping`."""
        add_local_arguments(parser)

    def check(self, graph: WorkflowGraph, options: RunOptions) -> str | None:
        """See `dispel4py.registry.CheckingMapping`."""
        check_locally(graph, options)
        return None

    def run(self, graph: WorkflowGraph, inputs: Any, options: RunOptions) -> RunResult:
        """See `dispel4py.registry.Mapping`."""
        return run_locally(self.name, SocketTransportFactory, graph, inputs, options)


class SocketTransportFactory:
    """Makes a socket pair for every two ranks that exchange frames; see `TransportFactory`."""

    folder: str | None = None

    def __init__(self, placement: Placement) -> None:
        self._driver = placement.ranks
        self._ends: _Ends = {}
        pairs = rank_pairs(placement)
        files = 2 * len(pairs) + FILES_PER_WORKER * placement.ranks
        raise_file_limit(files, f"{placement.ranks} processes, connected as this graph has it,")
        for a, b in pairs:
            end_a, end_b = socket.socketpair()
            self._ends.setdefault(a, {})[b] = end_a
            self._ends.setdefault(b, {})[a] = end_b

    def for_driver(self, check: Callable[[], None]) -> Transport:
        return _connect(self._ends, self._driver, check)

    def for_rank(self, rank: int) -> MakeTransport:
        return _RankTransportFactory(self._ends, rank)

    def close(self) -> None:
        _close_all_except(None, self._ends)


class _RankTransportFactory:
    """Makes the transport of a rank.

    A forked process has inherited the ends of all ranks.  It has to close those of others, or
    their peers would not notice the end of a rank.
    """

    def __init__(self, ends: _Ends, rank: int) -> None:
        self._ends = ends
        self._rank = rank

    def __call__(self) -> Transport:
        return _connect(self._ends, self._rank)

    def __reduce__(self) -> tuple[type[_RankTransportFactory], tuple[_Ends, int]]:
        return _RankTransportFactory, ({self._rank: self._ends[self._rank]}, self._rank)


def _connect(ends: _Ends, rank: int, check: Callable[[], None] | None = None) -> Transport:
    _close_all_except(rank, ends)
    return SocketTransport(ends[rank], check)


def _close_all_except(keep: int | None, ends: _Ends) -> None:
    for rank, of_rank in ends.items():
        if rank != keep:
            for end in of_rank.values():
                end.close()
