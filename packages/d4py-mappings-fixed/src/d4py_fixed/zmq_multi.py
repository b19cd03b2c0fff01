"""The mapping `zmq_multi`: one process per rank, connected by ZeroMQ, on one host or on several."""

from __future__ import annotations

import argparse
import os
import shutil
import socket
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from d4py_fixed.local import add_local_arguments, run_locally
from d4py_fixed.placement import Placement, rank_pairs
from d4py_fixed.transport import Transport
from d4py_fixed.zmq_addresses import address_of, listen_at_path, make_folder
from d4py_fixed.zmq_transport import ZmqTransport
from dispel4py.registry import Capabilities
from dispel4py.result import RunOptions, RunResult
from dispel4py.workflow_graph import WorkflowGraph


class ZmqMultiMapping:
    """Runs a graph on the cores of this machine, connected by ZeroMQ."""

    name = "zmq_multi"
    capabilities = Capabilities(stateful=True, group_by=True, broadcast=True)

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """See `dispel4py.registry.Mapping`."""
        add_local_arguments(parser)

    def run(self, graph: WorkflowGraph, inputs: Any, options: RunOptions) -> RunResult:
        """See `dispel4py.registry.Mapping`."""
        return run_locally(self.name, IpcWiring, graph, inputs, options)


class IpcWiring:
    """Unix sockets in a folder that only this user can enter; see `Wiring`."""

    def __init__(self, placement: Placement) -> None:
        self._driver = placement.ranks
        self._transport: Transport | None = None
        self._listeners: list[socket.socket] = []
        self._peers = peers_of(placement)
        self.folder = make_folder()
        try:
            for rank in range(placement.ranks + 1):
                self._listeners.append(listen_at_path(os.path.join(self.folder, str(rank))))
        except BaseException:
            self.close()
            raise
        self._addresses = [address_of(listener) for listener in self._listeners]

    def driver(self) -> Transport:
        self._transport = self.recipe(self._driver)()
        self._close_listeners()
        return self._transport

    def recipe(self, rank: int) -> Callable[[], Transport]:
        addresses = {peer: self._addresses[peer] for peer in self._peers[rank]}
        return partial(ZmqTransport, rank, self._listeners[rank], addresses)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()
        self._close_listeners()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _close_listeners(self) -> None:
        for listener in self._listeners:
            listener.close()


def peers_of(placement: Placement) -> Sequence[Sequence[int]]:
    """Whom each rank, and the driver behind them, has something to say to."""
    peers: list[list[int]] = [[] for _ in range(placement.ranks + 1)]
    for a, b in rank_pairs(placement):
        peers[a].append(b)
        peers[b].append(a)
    return peers
