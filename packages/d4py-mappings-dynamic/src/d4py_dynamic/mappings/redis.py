"""The mappings `dyn_redis` and `dyn_auto_redis`, and what all Redis mappings share.

A run finds its server, or starts a private one, and leaves nothing behind on it.
"""

from __future__ import annotations

import argparse
import secrets
from collections.abc import Iterator
from contextlib import contextmanager

from d4py_dynamic.driver.limits import LEASE_SECONDS
from d4py_dynamic.mappings.base import DynamicMapping, Scales, lease
from d4py_dynamic.mappings.redis_worker import Heartbeat, RedisWorkerSpec, work
from d4py_dynamic.remote.run_directory import Resumption, run_key
from d4py_dynamic.store.redis.address import Address
from d4py_dynamic.store.redis.keys import RunKeys
from d4py_dynamic.store.redis.run_store import RedisRunStore
from d4py_dynamic.store.redis.server import add_server_arguments, find_server, missing_server
from d4py_dynamic.store.tasks import pins_of
from d4py_dynamic.worker.spec import WorkerSpec
from dispel4py.engine.capabilities import Capabilities
from dispel4py.engine.plan import Plan
from dispel4py.errors import OptionError, ServiceError
from dispel4py.logs import get_logger
from dispel4py.processes.run_secret import VARIABLE, driver_secret
from dispel4py.result import RunOptions

_LOG = get_logger("redis")


class RedisBackend:
    """See `Backend`.

    Args:
        address: the server.
        keys: the run's keys.
        secret: the run's key.
        plan: the plan.
        spec: what workers are started with.
        resumption: what another driver needs to take the run up, if it may; see `resuming`.
    """

    work = staticmethod(work)

    def __init__(
        self,
        address: Address,
        keys: RunKeys,
        secret: bytes,
        plan: Plan,
        spec: WorkerSpec,
        resumption: Resumption | None = None,
    ) -> None:
        self._address = address
        self._keys = keys
        self._secret = secret
        self._plan = plan
        self._spec = spec
        self._resumption = resumption
        self._mark = secrets.token_hex(8)
        self._signs: Heartbeat | None = None
        self.is_open = False
        self.store = self.another_store()

    def another_store(self) -> RedisRunStore:
        keeps = self._resumption is not None
        return RedisRunStore(self._address, self._keys, self._secret, self._plan, self._mark, keeps)

    def orders(self, rank: int) -> tuple[RedisWorkerSpec]:
        return (RedisWorkerSpec(self._address, self._keys, self._secret, rank, self._spec),)

    def offer(self, lease: float) -> None:
        """Let workers join; see `d4py_dynamic.remote.run_directory.offer`."""
        self.store.offer(self._spec, lease)
        self.is_open = True

    def started(self) -> None:
        """See `Backend`."""
        # Whoever takes the results may keep the driver waiting for as long as they like, and the
        # guests must not think it dead.  The thread comes after the fork.
        if self.is_open and self._signs is None:
            self._signs = Heartbeat(self._address, self._keys, "driver", self._mark)
            self._signs.start()

    def begun(self, feeding: list[int]) -> None:
        """See `Backend`."""
        if self._resumption is not None:
            self.store.begun(self._resumption._replace(feeding=tuple(feeding)))

    @contextmanager
    def cleared(self) -> Iterator[RedisBackend]:
        """Leave nothing behind; but what can be taken up again when the server failed us."""
        try:
            yield self
        except ServiceError:
            self._close(delete=self._resumption is None)
            raise
        except BaseException:
            self._close(delete=True)
            raise
        self._close(delete=True)

    def _close(self, *, delete: bool) -> None:
        if self._signs is not None:
            self._signs.stop()
        if delete:
            self.store.delete()
        else:
            self.store.close()


class RedisMapping(DynamicMapping):
    """A mapping whose tasks wait on a Redis server, and whose workers may be anywhere."""

    least_processes = 0

    @contextmanager
    def backend(self, plan: Plan, spec: WorkerSpec, options: RunOptions) -> Iterator[RedisBackend]:
        """See `DynamicMapping`."""
        extra = options.extra
        lasting = bool(extra.get("resumable"))
        key_file = extra.get("key_file")
        with (
            find_server(extra) as address,
            driver_secret(key_file, lasting=lasting) as (secret, is_new, file),
        ):
            run_id = secrets.token_hex(4)
            keys = RunKeys(run_id, tuple(pins_of(plan)))
            key = run_key(secret, run_id)
            resumption = None
            if lasting:
                _check_lasting(address, is_new=is_new)
                resumption = Resumption(self.name, options.processes, dict(extra), key_file=file)
            backend = RedisBackend(address, keys, key, plan, spec, resumption)
            with backend.cleared():
                backend.store.create(self.name)
                if options.processes == 0 or key_file:
                    _check_reach(address)
                # A key that is in the environment anyway is no wish for guests by itself.
                if options.processes == 0 or not (is_new or address.embedded):
                    backend.offer(lease(extra))
                    _invite(address, run_id, secret if is_new else None)
                if lasting:
                    command = f"dispel4py resume --redis-url {address} {run_id}"
                    _LOG.info("if this process dies, with the same key: %s", command)
                yield backend

    def missing(self, options: RunOptions) -> str | None:
        """See `DynamicMapping`."""
        return missing_server(options.extra)

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
            "--resumable",
            action="store_true",
            help="keep on the server what 'dispel4py resume' needs if this process dies; needs a"
            " server of your own, and a key",
        )
        parser.add_argument(
            "--lease",
            type=float,
            metavar="SECONDS",
            help=f"give up a worker that is silent for so long (default: {LEASE_SECONDS:g})",
        )


def _check_reach(address: Address) -> None:
    if address.embedded:
        raise OptionError(
            "workers cannot join a run on its private Redis server; name a server that they can"
            " reach, with --redis-url"
        )


def _check_lasting(address: Address, *, is_new: bool) -> None:
    if address.embedded:
        raise OptionError(
            "a private Redis server dies with this process, so the run would not be resumable;"
            " name a server of your own, with --redis-url"
        )
    if is_new:
        raise OptionError(
            f"a resumable run needs a key that outlives this process: --key-file or {VARIABLE}"
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
    capabilities = Capabilities(survives_worker_death=True, multi_host=True, shares_calls=True)


class DynAutoRedisMapping(Scales, DynRedisMapping):
    """The same, with as many workers active as there is work for."""

    name = "dyn_auto_redis"
    old_strategy = "idle", "milliseconds that a worker may wait (1000)", "--idle_time"
