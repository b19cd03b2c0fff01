"""The mappings `dyn_redis` and `dyn_auto_redis`, and what all Redis mappings share.

A run finds its server, or starts a private one, and leaves nothing behind on it.
"""

from __future__ import annotations

import argparse
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from d4py_dynamic.mapping import DynamicMapping, Scales, Terms
from d4py_dynamic.redis_keys import RunKeys
from d4py_dynamic.redis_run import RedisRunStore
from d4py_dynamic.redis_server import Address, find_server
from d4py_dynamic.redis_store import RedisTaskStore
from d4py_dynamic.tasks import pins_of
from dispel4py.plan import Plan
from dispel4py.processes import WorkerSide
from dispel4py.registry import Capabilities
from dispel4py.result import RunOptions


class RedisBackend:
    """See `Backend`.

    Args:
        address: the server.
        plan: the plan.
    """

    def __init__(self, address: Address, plan: Plan) -> None:
        self._address = address
        self._plan = plan
        self._keys = RunKeys(f"d4py:{secrets.token_hex(8)}", tuple(pins_of(plan)))
        self._secret = secrets.token_bytes(32)
        self.store = self.another_store()

    def another_store(self) -> RedisRunStore:
        return RedisRunStore(self._address, self._keys, self._secret, self._plan)

    def orders(self, rank: int, terms: Terms) -> tuple[Any, ...]:
        return self._address, self._keys, self._secret, rank, terms

    @staticmethod
    def work(
        side: WorkerSide, address: Address, keys: RunKeys, secret: bytes, rank: int, terms: Terms
    ) -> None:
        """See `Backend`."""
        store = RedisTaskStore(address, keys, secret, rank)
        side.on_orphaned(store.delete)
        try:
            terms.serve(store, rank)
        finally:
            store.close()

    def started(self) -> None:
        """See `Backend`."""


class RedisMapping(DynamicMapping):
    """A mapping whose tasks wait on a Redis server."""

    @contextmanager
    def backend(self, plan: Plan, options: RunOptions) -> Iterator[RedisBackend]:
        with find_server(options.extra) as address:
            backend = RedisBackend(address, plan)
            try:
                backend.store.create()
                yield backend
            finally:
                backend.store.delete()

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """See `dispel4py.registry.Mapping`."""
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
        super().add_arguments(parser)
        parser.add_argument(
            "-ct",
            "--consumer-timeout",
            type=int,
            metavar="MS",
            help="no longer used: runs end by counting, not by waiting",
        )


class DynRedisMapping(RedisMapping):
    """Runs a graph of stateless PEs over Redis with workers that share all of them."""

    name = "dyn_redis"
    capabilities = Capabilities(survives_worker_death=True)


class DynAutoRedisMapping(Scales, DynRedisMapping):
    """The same, with as many workers active as there is work for."""

    name = "dyn_auto_redis"
    old_strategy = "idle", "milliseconds that a worker may wait (1000)", "--idle_time"
