"""The mappings `dyn_redis` and `dyn_auto_redis`, and what all Redis mappings share.

A run finds its server, or starts a private one, and leaves nothing behind on it.
"""

from __future__ import annotations

import argparse
import logging
import secrets
from collections.abc import Iterator
from contextlib import contextmanager

from d4py_dynamic.mapping import DynamicMapping, Scales, Terms, lease
from d4py_dynamic.redis_guests import run_key
from d4py_dynamic.redis_keys import RunKeys
from d4py_dynamic.redis_run import RedisRunStore
from d4py_dynamic.redis_server import Address, add_server_arguments, find_server
from d4py_dynamic.redis_worker import RedisOrders, SignsOfLife, work
from d4py_dynamic.staff import LEASE_SECONDS
from d4py_dynamic.tasks import pins_of
from dispel4py.errors import OptionError
from dispel4py.plan import Plan
from dispel4py.registry import Capabilities
from dispel4py.result import RunOptions
from dispel4py.secret import VARIABLE, secret_of_driver

_LOG = logging.getLogger("dispel4py.redis")


class RedisBackend:
    """See `Backend`.

    Args:
        address: the server.
        keys: the run's keys.
        secret: the run's key.
        plan: the plan.
        terms: what workers are started with.
    """

    work = staticmethod(work)

    def __init__(
        self, address: Address, keys: RunKeys, secret: bytes, plan: Plan, terms: Terms
    ) -> None:
        self._address = address
        self._keys = keys
        self._secret = secret
        self._plan = plan
        self._terms = terms
        self._signs: SignsOfLife | None = None
        self._is_open = False
        self.store = self.another_store()

    def another_store(self) -> RedisRunStore:
        return RedisRunStore(self._address, self._keys, self._secret, self._plan)

    def orders(self, rank: int) -> tuple[RedisOrders]:
        return (RedisOrders(self._address, self._keys, self._secret, rank, self._terms),)

    def offer(self, lease: float) -> None:
        """Let workers join; see `d4py_dynamic.redis_guests.offer`."""
        self.store.offer(self._terms, lease)
        self._is_open = True

    def started(self) -> None:
        """See `Backend`."""
        # Whoever takes the results may keep the driver waiting for as long as they like, and the
        # guests must not think it dead.  The thread comes after the fork.
        if self._is_open and self._signs is None:
            self._signs = SignsOfLife(self._address, self._keys, "driver")
            self._signs.start()

    def close(self) -> None:
        """Leave nothing behind."""
        if self._signs is not None:
            self._signs.stop()
        self.store.delete()


class RedisMapping(DynamicMapping):
    """A mapping whose tasks wait on a Redis server, and whose workers may be anywhere."""

    least_processes = 0

    @contextmanager
    def backend(self, plan: Plan, terms: Terms, options: RunOptions) -> Iterator[RedisBackend]:
        extra = options.extra
        with find_server(extra) as address, secret_of_driver(extra.get("key_file")) as found:
            secret, is_new = found
            run_id = secrets.token_hex(4)
            keys = RunKeys(run_id, tuple(pins_of(plan)))
            backend = RedisBackend(address, keys, run_key(secret, run_id), plan, terms)
            try:
                backend.store.create(self.name)
                if options.processes == 0 or extra.get("key_file"):
                    _check_reach(address)
                # A key that is in the environment anyway is no wish for guests by itself.
                if options.processes == 0 or not (is_new or address.embedded):
                    backend.offer(lease(extra))
                    _invite(address, run_id, secret if is_new else None)
                yield backend
            finally:
                backend.close()

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """See `dispel4py.registry.Mapping`."""
        add_server_arguments(parser)
        super().add_arguments(parser)
        parser.add_argument(
            "--key-file",
            metavar="FILE",
            help="let workers join this run that have the key in FILE, which is written if it is"
            " not there; the variable D4PY_KEY may hold the key instead",
        )
        parser.add_argument(
            "--lease",
            type=float,
            metavar="SECONDS",
            help=f"give up a worker that is silent for so long (default: {LEASE_SECONDS:g})",
        )
        parser.add_argument(
            "-ct",
            "--consumer-timeout",
            type=int,
            metavar="MS",
            help="no longer used: runs end by counting, not by waiting",
        )


def _check_reach(address: Address) -> None:
    if address.embedded:
        raise OptionError(
            "workers cannot join a run on its private Redis server; name a server that they can"
            " reach, with --redis-url"
        )


def _invite(address: Address, run_id: str, secret: str | None) -> None:
    """Tell how workers join.

    Args:
        address: the server.
        run_id: the run.
        secret: the run's secret, if nobody knows it yet.
    """
    command = f"dispel4py worker --redis-url {address} --run {run_id}"
    if secret is None:
        _LOG.info("workers can join:\n  %s", command)
    else:
        _LOG.warning(
            "waiting for workers; keep the key secret:\n  %s=%s %s", VARIABLE, secret, command
        )


class DynRedisMapping(RedisMapping):
    """Runs a graph of stateless PEs over Redis with workers that share all of them."""

    name = "dyn_redis"
    capabilities = Capabilities(survives_worker_death=True, multi_host=True)


class DynAutoRedisMapping(Scales, DynRedisMapping):
    """The same, with as many workers active as there is work for."""

    name = "dyn_auto_redis"
    old_strategy = "idle", "milliseconds that a worker may wait (1000)", "--idle_time"
