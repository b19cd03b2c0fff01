"""Runs a placed graph on several hosts, as `local.py` does in processes of this machine.

Every process listens on TCP and connects to whom it has something to say to, the driver included.
Some ranks may run here; the others go to the hosts that join, in the order in which they come.
"""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from typing import Any

from d4py_fixed.engine.driver import Driver
from d4py_fixed.engine.frames import CODEC
from d4py_fixed.engine.placement import peers_of
from d4py_fixed.local.launch import RankSpec, make_placement, rank_name, run_rank
from d4py_fixed.zmq.addresses import address_of, host_and_port, listen_at_host
from d4py_fixed.zmq.control_messages import RankPlace
from d4py_fixed.zmq.curve_keys import CurveKeys, keys_of_driver
from d4py_fixed.zmq.remote_hosts import RemoteHosts
from d4py_fixed.zmq.transport import ZmqTransport
from dispel4py.engine.inputs import root_inputs
from dispel4py.engine.plan_bundle import make_bundle
from dispel4py.errors import WorkerLostError
from dispel4py.logs import get_logger
from dispel4py.processes.frozen_watch import FrozenWatch
from dispel4py.processes.pool import WorkerPool
from dispel4py.processes.run_secret import KEY_VARIABLE
from dispel4py.processes.start_methods import Start
from dispel4py.result import RunOptions, RunResult, RunStats
from dispel4py.workflow_graph import WorkflowGraph

logger = get_logger("zmq_multi")

#: Seconds after which a broken connection is an error to the driver, and to a rank, which will
#: mostly be stopped before: others know better why it broke.
_PATIENCE, RANK_PATIENCE = 1.0, 5.0


def run_on_hosts(name: str, graph: WorkflowGraph, inputs: Any, options: RunOptions) -> RunResult:
    """Run a graph; see `dispel4py.registry.Mapping.run`."""
    extra = options.extra
    placement = make_placement(graph, options)
    frozen = FrozenWatch.of(extra, rank_name(placement))
    given = root_inputs(placement.plan, inputs)
    start = Start.of(extra)
    bundle = make_bundle(placement.plan, CODEC, start.method, multi_host=True)
    host, port = host_and_port(extra["bind"], "--bind")
    with ExitStack() as stack:
        keys, to_tell = stack.enter_context(keys_of_driver(extra.get("key_file")))
        listener = stack.enter_context(listen_at_host(host, port))
        addresses = {placement.ranks: address_of(listener)}
        transport = ZmqTransport(placement.ranks, listener, {}, keys, _PATIENCE)
        stack.callback(transport.close)
        local = [
            stack.enter_context(listen_at_host(host))
            for _ in range(min(extra.get("local") or 0, placement.ranks))
        ]
        for rank, of_rank in enumerate(local):
            addresses[rank] = address_of(of_rank)
            transport.connect(rank, addresses[rank])
        hosts = RemoteHosts(placement, transport, addresses)
        stats = RunStats(name, placement.ranks)
        try:
            if len(local) < placement.ranks:
                _invite(placement.ranks - len(local), addresses[placement.ranks], keys, to_tell)
                hosts.gather(extra["wait"])
            peers = peers_of(placement)
            places = [
                RankPlace(
                    0,
                    RankSpec.of(placement, bundle, rank, options),
                    {peer: addresses[peer] for peer in peers[rank]},
                )
                for rank in range(placement.ranks)
            ]
            hosts.start(places)
            pool = WorkerPool(
                run_rank,
                [
                    rank_arguments(place, of_rank, keys)
                    for place, of_rank in zip(places, local, strict=False)
                ],
                start,
                frozen,
            )
            stack.callback(pool.stop)
            del bundle, places  # whoever runs a PE has it now

            def check() -> None:
                pool.raise_on_failure()
                hosts.check()

            transport.check = check
            result = Driver(placement, given, hosts, check, options, stats).run()
            hosts.let_ranks_go()

            def attend() -> None:
                pool.raise_on_failure()
                hosts.attend()

            pool.wait_until_ended(attend, rank_name(placement))
            hosts.see_off()
        except WorkerLostError as error:
            hosts.stop(f"the run failed: {error}")
            ran = placement.describe(error.rank)
            raise type(error)(error.rank, error.pid, error.cause, ran) from None
        except KeyboardInterrupt:
            hosts.stop("the run was interrupted")
            raise
        except BaseException as error:
            hosts.stop(f"the run failed: {error}")
            raise
        if strangers := hosts.strangers():
            stats.notes.append(f"connections of strangers without the key, refused: {strangers}")
        return result


def rank_arguments(place: RankPlace, listener: Any, keys: CurveKeys) -> tuple[Any, ...]:
    """What a rank's process is started with: arguments of `run_rank`."""
    rank = place.orders.rank
    recipe = partial(ZmqTransport, rank, listener, place.addresses, keys, RANK_PATIENCE)
    return place.orders, recipe, None


def _invite(ranks: int, address: str, keys: CurveKeys, to_tell: bool) -> None:
    """Tell how other hosts join."""
    processes = f"{ranks} process{'es' if ranks > 1 else ''}"
    command = f"dispel4py zmq_multi --connect {address}"
    if to_tell:
        logger.warning(
            "waiting for hosts to run %s; keep the key secret:\n  %s=%s %s",
            processes,
            KEY_VARIABLE,
            keys.secret,
            command,
        )
    else:
        logger.info("waiting for hosts to run %s:\n  %s", processes, command)
