"""The mapping `zmq_multi`: one process per rank, connected by ZeroMQ, on one host or on several.

This module runs graphs on one host; `coordinator.py` and `agent.py` are the two sides of a run on
several.
"""

from __future__ import annotations

import argparse
import socket
from collections.abc import Callable
from functools import partial
from typing import Any

from d4py_fixed.engine.placement import Placement, peers_of
from d4py_fixed.engine.transport import Transport
from d4py_fixed.local.launch import add_local_arguments, check_locally, run_locally
from d4py_fixed.zmq.addresses import address_of, listen_at_path
from d4py_fixed.zmq.transport import ZmqTransport
from dispel4py.engine.planning.capabilities import Capabilities
from dispel4py.errors import OptionError
from dispel4py.files.file_argument import file_argument
from dispel4py.files.file_limit import FILES_PER_WORKER, raise_file_limit
from dispel4py.files.socket_directory import SocketDirectory
from dispel4py.result import RunOptions, RunResult
from dispel4py.workflow_graph import WorkflowGraph

#: File descriptors of the connections to and from a peer.
_FILES_PER_PEER = 4


class ZmqMultiMapping:
    """Runs a graph in processes of this host, or of several, connected by ZeroMQ.

    For several: start the workflow on one with --bind, and on each of the others, without a
    workflow, `dispel4py zmq_multi --connect tcp://HOST:PORT`.
    """

    name = "zmq_multi"
    capabilities = Capabilities(
        stateful=True,
        group_by=True,
        broadcast=True,
        ordered=True,
        multi_host=True,
        shares_calls=True,
    )

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """See `dispel4py.registry.Mapping`."""
        add_local_arguments(parser)
        several = parser.add_argument_group("on several hosts")
        several.add_argument(
            "--bind",
            metavar="ADDRESS",
            help="run on the hosts that connect to this address of this one, tcp://HOST:PORT",
        )
        several.add_argument(
            "--local",
            type=int,
            metavar="N",
            help="with --bind: number of the -n processes that run on this host (default: 0)",
        )
        several.add_argument(
            "--connect",
            metavar="ADDRESS",
            help="join the run at this address, with -n processes (default: one per core)",
        )
        several.add_argument(
            "--key-file",
            type=file_argument,
            metavar="FILE",
            help="file with the run's key, written by --bind if it does not exist; the variable"
            " D4PY_KEY may hold the key instead",
        )
        several.add_argument(
            "--wait",
            type=float,
            default=300.0,
            metavar="SECONDS",
            help="how long to wait for other hosts (default: %(default)g)",
        )

    def check(self, graph: WorkflowGraph, options: RunOptions) -> str | None:
        """See `dispel4py.registry.CheckingMapping`."""
        check_locally(graph, options)
        return None

    def run(self, graph: WorkflowGraph, inputs: Any, options: RunOptions) -> RunResult:
        """See `dispel4py.registry.Mapping`."""
        extra = options.extra
        if extra.get("connect"):
            raise OptionError("--connect takes no workflow: it comes from the host of --bind")
        if extra.get("bind"):
            from d4py_fixed.zmq.coordinator import run_on_hosts

            return run_on_hosts(self.name, graph, inputs, options)
        if extra.get("local") is not None or extra.get("key_file"):
            raise OptionError("--local and --key-file are for several hosts: add --bind")
        return run_locally(self.name, IpcTransportFactory, graph, inputs, options)

    def join_run(self, options: RunOptions) -> None:
        """See `dispel4py.registry.JoiningMapping`."""
        if not options.extra.get("connect"):
            raise OptionError("a WORKFLOW is missing (or --connect, to join a run)")
        from d4py_fixed.zmq.agent import join

        join(options)


class IpcTransportFactory:
    """Makes Unix sockets in a folder that only this user can enter; see `TransportFactory`."""

    def __init__(self, placement: Placement) -> None:
        self._driver = placement.ranks
        self._transport: Transport | None = None
        self._listeners: list[socket.socket] = []
        self._peers = peers_of(placement)
        files = _FILES_PER_PEER + FILES_PER_WORKER  # all ranks are peers of this process
        users = f"{placement.ranks} processes, connected as this graph has it,"
        raise_file_limit(files * placement.ranks, users)
        self._directory = SocketDirectory("d4py-zmq-")
        self.folder: str | None = str(self._directory.path)
        try:
            for rank in range(placement.ranks + 1):
                self._listeners.append(listen_at_path(str(self._directory.path / str(rank))))
        except BaseException:
            self.close()
            raise
        self._addresses = [address_of(listener) for listener in self._listeners]

    def for_driver(self, check: Callable[[], None]) -> Transport:
        transport = self.for_rank(self._driver)()
        transport.check = check
        self._transport = transport
        self._close_listeners()
        return transport

    def for_rank(self, rank: int) -> Callable[[], ZmqTransport]:
        addresses = {peer: self._addresses[peer] for peer in self._peers[rank]}
        return partial(ZmqTransport, rank, self._listeners[rank], addresses)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()
        self._close_listeners()
        self._directory.remove()

    def _close_listeners(self) -> None:
        for listener in self._listeners:
            listener.close()
