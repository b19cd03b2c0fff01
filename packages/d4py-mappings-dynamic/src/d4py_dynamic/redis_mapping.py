"""Runs a graph on a Redis server with worker processes: what all Redis mappings share.

`run_on_redis` finds the server, starts the workers, lets the `Driver` run and leaves nothing
behind, however it ends.
"""

from __future__ import annotations

import argparse
import secrets
from dataclasses import dataclass
from typing import Any

from d4py_dynamic.driver import Driver
from d4py_dynamic.redis_keys import CODEC, RunKeys
from d4py_dynamic.redis_run import RedisRunStore
from d4py_dynamic.redis_server import Address, find_server
from d4py_dynamic.redis_store import RedisTaskStore
from d4py_dynamic.tasks import is_pinned
from d4py_dynamic.worker import Worker
from dispel4py.errors import UnsupportedGraphError
from dispel4py.inputs import root_inputs
from dispel4py.plan import make_plan, refusal, share_stateless
from dispel4py.processes import START_METHODS, Crew, WorkerSide
from dispel4py.registry import Capabilities
from dispel4py.result import RunOptions, RunResult, RunStats
from dispel4py.shipping import Parcel, pack
from dispel4py.workflow_graph import WorkflowGraph

#: Workers where ``-n`` is not given.
DEFAULT_WORKERS = 4


def add_redis_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of all Redis mappings."""
    group = parser.add_argument_group("Redis")
    group.add_argument("-ri", "--redis-ip", metavar="HOST", help="host of the Redis server")
    group.add_argument(
        "-rp", "--redis-port", type=int, metavar="PORT", help="its port (default: 6379)"
    )
    group.add_argument(
        "--redis-url",
        metavar="URL",
        help="redis://[USER:PASSWORD@]HOST:PORT/DATABASE, rediss:// for TLS, or unix://PATH;"
        " without any of these: $REDIS_URL, a server on localhost:6379, or a private one",
    )
    parser.add_argument(
        "--start-method",
        choices=START_METHODS,
        help="how worker processes are started (default: the quickest that is safe)",
    )
    parser.add_argument(
        "-ct",
        "--consumer-timeout",
        type=int,
        metavar="MS",
        help="no longer used: runs end by counting, not by waiting",
    )


@dataclass(frozen=True)
class WorkerOrders:
    """What a worker process is started with; picklable in any start method."""

    address: Address
    keys: RunKeys
    secret: bytes
    rank: int
    pins: tuple[tuple[int, int], ...]
    parcel: Parcel
    on_error: str
    share_items: bool


def run_on_redis(
    name: str,
    capabilities: Capabilities,
    graph: WorkflowGraph,
    inputs: Any,
    options: RunOptions,
) -> RunResult:
    """Run a graph; see `dispel4py.registry.Mapping.run`.

    Args:
        name: the mapping's name.
        capabilities: what it declares; a graph that needs more is refused.
        graph: the graph.
        inputs: the run's inputs.
        options: the run's options.
    """
    plan = make_plan(graph)
    refused = refusal(plan, capabilities)
    if refused is not None:
        raise UnsupportedGraphError(f"mapping {name!r} cannot run this graph: {refused}")
    plan = share_stateless(plan)
    given = root_inputs(plan, inputs)
    count = options.processes or DEFAULT_WORKERS
    pins = [(pe.index, i) for pe in plan.pes if is_pinned(pe) for i in range(pe.instances)]
    parcel = pack(plan, CODEC)
    with find_server(options.extra) as address:
        keys = RunKeys(f"d4py:{secrets.token_hex(8)}", tuple(pins), count)
        secret = secrets.token_bytes(32)
        store = RedisRunStore(address, keys, secret, plan)
        store.create()
        crew: Crew | None = None
        try:
            orders = [
                WorkerOrders(
                    address=address,
                    keys=keys,
                    secret=secret,
                    rank=rank,
                    pins=tuple(pins[rank::count]),
                    parcel=parcel,
                    on_error=options.on_error,
                    share_items=options.share_items,
                )
                for rank in range(count)
            ]
            crew = Crew(work, [(order,) for order in orders], options.extra.get("start_method"))
            driver = Driver(
                plan,
                given,
                store,
                lambda: RedisRunStore(address, keys, secret, plan),
                crew,
                count,
                options,
                RunStats(name, count),
            )
            return driver.run()
        finally:
            if crew is not None:
                crew.stop()
            store.delete()


def work(side: WorkerSide, orders: WorkerOrders) -> None:
    """Main function of a worker process."""
    store = RedisTaskStore(orders.address, orders.keys, orders.secret, orders.rank, orders.pins)
    side.on_orphaned(store.delete)
    try:
        plan = orders.parcel.open(CODEC)
        Worker(plan, store, orders.rank, orders.pins, orders.on_error, orders.share_items).serve()
    finally:
        store.close()
