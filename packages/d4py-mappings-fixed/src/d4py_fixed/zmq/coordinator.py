"""Runs a graph on several hosts, as `d4py_fixed.local.launch` does in processes of this machine.

Every process listens on TCP and connects to its peers, the driver included.  Some ranks may run on
this host; the others are assigned to the hosts that join, in the order in which they join.
"""

from __future__ import annotations

import socket
from contextlib import ExitStack
from functools import partial
from typing import Any

from d4py_fixed.engine.driver import Driver
from d4py_fixed.engine.frame_transport import EncodedFrames
from d4py_fixed.engine.frames import CODEC
from d4py_fixed.engine.placement import peers_of
from d4py_fixed.local.launch import (
    MakeTransport,
    RankSpec,
    make_placement,
    name_lost_rank,
    rank_name,
    run_rank,
)
from d4py_fixed.zmq.addresses import address_of, listen_at_host, parse_address
from d4py_fixed.zmq.control_messages import RankStart
from d4py_fixed.zmq.curve_keys import CurveKeys, driver_keys
from d4py_fixed.zmq.remote_hosts import RemoteHosts
from d4py_fixed.zmq.transport import ZmqTransport
from dispel4py.engine.inputs import root_inputs
from dispel4py.engine.planning.plan_bundle import PlanBundle, make_bundle
from dispel4py.errors import WorkerLostError
from dispel4py.logs import get_logger
from dispel4py.processes.run_secret import KEY_VARIABLE
from dispel4py.processes.workers.frozen_watch import FrozenWatch
from dispel4py.processes.workers.pool import WorkerPool
from dispel4py.processes.workers.start_methods import Start
from dispel4py.result import RunOptions, RunResult
from dispel4py.workflow_graph import WorkflowGraph

logger = get_logger("zmq_multi")

#: Seconds after which a lost connection is an error for the driver, and for a rank, which will
#: mostly be stopped before: another process can report the reason.
_DRIVER_GRACE_SECONDS, _RANK_GRACE_SECONDS = 1.0, 5.0


def run_on_hosts(name: str, graph: WorkflowGraph, inputs: Any, options: RunOptions) -> RunResult:
    """Run a graph; see `dispel4py.registry.Mapping.run`."""
    with ExitStack() as stack:
        return Coordinator(graph, inputs, options, stack).execute(name)


class Coordinator:
    """The driver's side of a run on several hosts.

    Args:
        graph: the graph.
        inputs: the run's inputs.
        options: the run's options.
        stack: releases the resources of the run.

    Raises:
        GraphError: the graph cannot run.
        OptionError: an option has an invalid value.
    """

    def __init__(
        self, graph: WorkflowGraph, inputs: Any, options: RunOptions, stack: ExitStack
    ) -> None:
        self._options, self._stack = options, stack
        extra = options.extra
        self._placement = placement = make_placement(graph, options)
        self._frozen = FrozenWatch.of(extra, rank_name(placement))
        self._inputs = root_inputs(placement.plan, inputs)
        self._start_method = Start.of(extra)
        self._bundle: PlanBundle | None = make_bundle(
            placement.plan, CODEC, self._start_method.method, multi_host=True
        )
        host, port = parse_address(extra["bind"], "--bind")
        self._keys, self._is_new_key = stack.enter_context(driver_keys(extra.get("key_file")))
        listener = stack.enter_context(listen_at_host(host, port))
        self._address = address_of(listener)
        self._transport = ZmqTransport(
            placement.ranks, listener, {}, self._keys, _DRIVER_GRACE_SECONDS
        )
        stack.callback(self._transport.close)
        addresses = {placement.ranks: self._address}
        self._listeners = [
            stack.enter_context(listen_at_host(host))
            for _ in range(min(extra.get("local") or 0, placement.ranks))
        ]
        for rank, of_rank in enumerate(self._listeners):
            addresses[rank] = address_of(of_rank)
            self._transport.connect(rank, addresses[rank])
        self._hosts = RemoteHosts(placement, self._transport, addresses)

    def execute(self, name: str) -> RunResult:
        """Invite hosts, run the graph on them and on this host, and shut all of them down.

        Args:
            name: the mapping's name.
        """
        try:
            if len(self._listeners) < self._placement.ranks:
                self._invite()
                self._gather()
            pool = self._start()
            result = self._run(pool, name)
            self._shut_down(pool)
        except BaseException as error:
            was_interrupted = isinstance(error, KeyboardInterrupt)
            reason = "the run was interrupted" if was_interrupted else f"the run failed: {error}"
            self._hosts.stop(reason)
            if isinstance(error, WorkerLostError):
                raise name_lost_rank(error, self._placement) from None
            raise
        if rejected := self._hosts.rejected_connections():
            result.stats.notes.append(f"connections without the run's key, rejected: {rejected}")
        return result

    def _invite(self) -> None:
        """Log the command by which other hosts join."""
        ranks = self._placement.ranks - len(self._listeners)
        processes = f"{ranks} process{'es' if ranks > 1 else ''}"
        command = f"dispel4py zmq_multi --connect {self._address}"
        if self._is_new_key:
            logger.warning(
                "waiting for hosts to run %s; keep the key secret:\n  %s=%s %s",
                processes,
                KEY_VARIABLE,
                self._keys.secret,
                command,
            )
        else:
            logger.info("waiting for hosts to run %s:\n  %s", processes, command)

    def _gather(self) -> None:
        self._hosts.gather(self._options.extra["wait"])

    def _start(self) -> WorkerPool:
        """Start all ranks, on this host and on the others."""
        # The processes that run the PEs hold the bundle from now on.
        bundle, self._bundle = self._bundle, None
        assert bundle is not None
        addresses, peers = self._hosts.addresses, peers_of(self._placement)
        starts = [
            RankStart(
                0,
                RankSpec.of(self._placement, bundle, rank, self._options),
                {peer: addresses[peer] for peer in peers[rank]},
            )
            for rank in range(self._placement.ranks)
        ]
        self._hosts.start(starts)
        arguments = [
            rank_arguments(start, listener, self._keys)
            for start, listener in zip(starts, self._listeners, strict=False)
        ]
        pool = WorkerPool(run_rank, arguments, self._start_method, self._frozen)
        self._stack.callback(pool.stop)
        return pool

    def _run(self, pool: WorkerPool, name: str) -> RunResult:
        """Drive the run until all ranks have ended."""

        def check() -> None:
            pool.raise_on_failure()
            self._hosts.raise_on_failure()

        self._transport.check = check
        frames = EncodedFrames(self._hosts, self._placement.describe)
        return Driver(self._placement, self._inputs, frames, check, self._options, name).run()

    def _shut_down(self, pool: WorkerPool) -> None:
        """Wait until all processes have ended."""
        self._hosts.expect_disconnects()

        def check() -> None:
            pool.raise_on_failure()
            self._hosts.handle_messages()

        pool.wait_until_ended(check, rank_name(self._placement))
        self._hosts.wait_until_ended()


def rank_arguments(
    start: RankStart, listener: socket.socket, keys: CurveKeys
) -> tuple[RankSpec, MakeTransport, None]:
    """Return the arguments of `run_rank` in the process of a rank."""
    make_transport = partial(
        ZmqTransport, start.spec.rank, listener, start.addresses, keys, _RANK_GRACE_SECONDS
    )
    return start.spec, make_transport, None
