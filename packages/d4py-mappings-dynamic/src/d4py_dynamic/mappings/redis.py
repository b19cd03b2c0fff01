"""The mappings `dyn_redis` and `dyn_auto_redis`, and what all Redis mappings share.

A run uses the server that is named or found, or starts a private one, and deletes its keys at its
end.  Remote workers can join a run that has a key.
"""

from __future__ import annotations

import argparse
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from d4py_dynamic.driver.limits import LEASE_SECONDS
from d4py_dynamic.mappings.autoscaled import AutoscaledMapping
from d4py_dynamic.mappings.base import DynamicMapping, lease_seconds
from d4py_dynamic.mappings.redis_worker import Heartbeat, RedisWorkerSpec, worker_main
from d4py_dynamic.store.redis.connections.address import Address
from d4py_dynamic.store.redis.connections.arguments import add_server_arguments
from d4py_dynamic.store.redis.connections.server import find_server, missing_server
from d4py_dynamic.store.redis.keys import RunKeys
from d4py_dynamic.store.redis.run_info import Resumption, run_key
from d4py_dynamic.store.redis.run_store import RedisRunStore
from d4py_dynamic.store.shared_heap import make_heap_file
from d4py_dynamic.store.task_pickles import codec_with
from d4py_dynamic.store.tasks import pins_of
from d4py_dynamic.worker.spec import WorkerSpec
from dispel4py.engine.planning.capabilities import Capabilities
from dispel4py.engine.planning.plan import Plan
from dispel4py.engine.run_events import EventTee, events_of
from dispel4py.errors import OptionError, ServiceError, TerminatedError
from dispel4py.files.file_argument import file_argument
from dispel4py.logs import get_logger
from dispel4py.processes.run_secret import KEY_VARIABLE, driver_secret
from dispel4py.result import RunOptions
from dispel4py.shared_memory.arena_file import ArenaFile

_LOG = get_logger("redis")


class RedisBackend:
    """Tasks on a Redis server; see `Backend`.

    Args:
        address: the server.
        keys: the run's keys.
        secret: the run's key.
        plan: the plan.
        spec: what every worker is started with.
        resumption: what another driver needs to resume the run; None if it cannot be resumed.
        heap: for large buffers of tasks; None if a process of another machine may take them, or
            another driver.
        can_be_resumed: whether the run has begun, under another driver.
    """

    worker_main = staticmethod(worker_main)

    def __init__(
        self,
        address: Address,
        keys: RunKeys,
        secret: bytes,
        plan: Plan,
        spec: WorkerSpec,
        resumption: Resumption | None = None,
        heap: ArenaFile | None = None,
        can_be_resumed: bool = False,
    ) -> None:
        self._address = address
        self._keys = keys
        self._secret = secret
        self._plan = plan
        self._spec = spec
        self._resumption = resumption
        self._heap = heap
        self._driver_id = secrets.token_hex(8)
        self._heartbeat: Heartbeat | None = None
        self._is_open = False
        self._can_be_resumed = can_be_resumed
        self.store = self._open_store()

    def open_store(self) -> RedisRunStore:
        opened = self._open_store()
        self.store.also_verify(opened)
        return opened

    def _open_store(self) -> RedisRunStore:
        return RedisRunStore(
            self._address,
            self._keys,
            self._secret,
            self._plan,
            self._driver_id,
            self._resumption is not None,
            codec=codec_with(self._heap),
        )

    def worker_arguments(self, rank: int) -> tuple[RedisWorkerSpec]:
        return (
            RedisWorkerSpec(self._address, self._keys, self._secret, rank, self._spec, self._heap),
        )

    def accept_workers(self, lease: float) -> None:
        """Let remote workers join that know the key.

        Args:
            lease: seconds without a heartbeat of the driver after which they count it as dead.

        Raises:
            OptionError: the workflow is too large for the server.
        """
        self.store.offer(self._spec, lease)
        self._is_open = True

    def on_workers_started(self) -> None:
        # The caller may block the driver in on_result for any time, so a thread sends the
        # heartbeats.  It starts after the fork of the workers.
        if self._is_open and self._heartbeat is None:
            self._heartbeat = Heartbeat(self._address, self._keys, "driver", self._driver_id)
            self._heartbeat.start()

    def on_run_started(self, feeding: list[int]) -> None:
        if self._resumption is not None:
            self.store.make_resumable(self._resumption._replace(feeding=tuple(feeding)))
            self._can_be_resumed = True

    @contextmanager
    def watched(self, options: RunOptions) -> Iterator[RunOptions]:
        """Keep the events of the run on the server, if it is to be watched; see `Backend`."""
        if not options.extra.get("watchable"):
            yield options
            return
        # What makes events takes milliseconds to import.
        from d4py_dynamic.store.redis.published_events import EventPublisher
        from dispel4py.observing.event_stream import EventStream

        publisher = EventPublisher(self._address, self._keys, self._secret, self._driver_id)
        stream = EventStream([publisher])
        try:
            yield replace(options, observers=(EventTee(events_of(options), stream),))
        except BaseException as error:
            stream.end(error)
            raise
        else:
            stream.end(None)
        finally:
            publisher.close()

    @contextmanager
    def deleted_at_end(self) -> Iterator[RedisBackend]:
        """Delete the run at the end, unless it can be resumed and did not end by itself.

        Raises:
            KeyboardInterrupt: for a `TerminatedError`, where the run cannot be resumed.
        """
        try:
            yield self
        except TerminatedError:
            self._close(delete=not self._can_be_resumed)
            if not self._can_be_resumed:
                raise KeyboardInterrupt from None
            _LOG.warning("the run stays; with the same key: %s", self.resume_command())
            raise
        except ServiceError:
            self._close(delete=self._resumption is None)
            raise
        except BaseException:
            self._close(delete=True)
            raise
        self._close(delete=True)

    def resume_command(self) -> str:
        """Return the command that resumes the run."""
        return f"dispel4py resume --redis-url {self._address} {self._keys.run_id}"

    def watch_command(self) -> str:
        """Return the command that shows the run."""
        return f"dispel4py ui --redis-url {self._address} --run {self._keys.run_id}"

    def _close(self, *, delete: bool) -> None:
        if self._heartbeat is not None:
            self._heartbeat.stop()
        if delete:
            self.store.delete()
        else:
            self.store.close()
        if self._heap is not None:
            self._heap.close()


class RedisMapping(DynamicMapping):
    """A mapping with tasks on a Redis server, and with workers on any host."""

    least_processes = 0

    @contextmanager
    def backend(self, plan: Plan, spec: WorkerSpec, options: RunOptions) -> Iterator[RedisBackend]:
        """See `DynamicMapping`."""
        extra = options.extra
        resumable = bool(extra.get("resumable"))
        key_file = extra.get("key_file")
        with (
            find_server(extra) as address,
            driver_secret(key_file, lasting=resumable) as (secret, is_new, file),
        ):
            run_id = secrets.token_hex(4)
            keys = RunKeys(run_id, tuple(pins_of(plan)))
            key = run_key(secret, run_id)
            resumption = None
            if resumable:
                _check_resumable(address, is_new=is_new)
                resumption = Resumption(self.name, options.processes, dict(extra), key_file=file)
            # A key in the environment alone does not ask for remote workers.
            accepts = options.processes == 0 or not (is_new or address.embedded)
            if extra.get("watchable"):
                _check_watchable(address, is_new=is_new)
            heap = None if accepts or resumable else make_heap_file()
            backend = RedisBackend(address, keys, key, plan, spec, resumption, heap)
            with backend.deleted_at_end():
                backend.store.create(self.name)
                if extra.get("watchable"):
                    backend.store.make_watchable()
                if options.processes == 0 or key_file:
                    _check_reachable(address)
                if accepts:
                    backend.accept_workers(lease_seconds(extra))
                    _log_how_to_join(address, run_id, secret if is_new else None)
                if extra.get("watchable"):
                    _LOG.info("watch the run, with the same key:\n  %s", backend.watch_command())
                if resumable:
                    command = backend.resume_command()
                    _LOG.info("if this process dies, with the same key: %s", command)
                yield backend

    def missing(self, options: RunOptions) -> str | None:
        """See `DynamicMapping`."""
        return missing_server(options.extra)

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """See `dispel4py.registry.Mapping`."""
        add_server_arguments(parser, may_start=True)
        super().add_arguments(parser)
        parser.add_argument(
            "--key-file",
            type=file_argument,
            metavar="FILE",
            help="let workers join this run that have the key in FILE, which is created if it does"
            " not exist; the variable D4PY_KEY may hold the key instead",
        )
        parser.add_argument(
            "--resumable",
            action="store_true",
            help="keep on the server what 'dispel4py resume' needs if this process dies; requires"
            " a server of your own, and a key",
        )
        parser.add_argument(
            "--watchable",
            action="store_true",
            help="keep the events of the run on the server, so that 'dispel4py ui' shows the run"
            " from elsewhere; requires a server of your own, and a key",
        )
        parser.add_argument(
            "--lease",
            type=float,
            metavar="SECONDS",
            help="time without a heartbeat after which a worker counts as lost"
            f" (default: {LEASE_SECONDS:g})",
        )


def _check_reachable(address: Address) -> None:
    if address.embedded:
        raise OptionError(
            "workers cannot join a run on its private Redis server; name a server that they can"
            " reach, with --redis-url"
        )


def _check_watchable(address: Address, *, is_new: bool) -> None:
    if address.embedded:
        raise OptionError(
            "a run on its private Redis server cannot be watched from elsewhere; name a server that"
            " others can reach, with --redis-url, or show the run here, with --ui"
        )
    if is_new:
        raise OptionError(
            f"a run is watched with its key: give it one by --key-file or {KEY_VARIABLE}"
        )


def _check_resumable(address: Address, *, is_new: bool) -> None:
    if address.embedded:
        raise OptionError(
            "a private Redis server dies with this process, so the run would not be resumable;"
            " name a server of your own, with --redis-url"
        )
    if is_new:
        raise OptionError(
            f"a resumable run needs a key that outlives this process: --key-file or {KEY_VARIABLE}"
        )


def _log_how_to_join(address: Address, run_id: str, secret: str | None) -> None:
    """Log the command by which workers join.

    Args:
        address: the server.
        run_id: the run.
        secret: the run's secret if it was made for this run; None if the user has it already.
    """
    command = f"dispel4py worker --redis-url {address} --run {run_id}"
    if secret is None:
        _LOG.info("workers can join:\n  %s", command)
    else:
        _LOG.warning(
            "waiting for workers; keep the key secret:\n  %s=%s %s", KEY_VARIABLE, secret, command
        )


class DynRedisMapping(RedisMapping):
    """Runs a graph of stateless PEs over Redis with workers that share all of them."""

    name = "dyn_redis"
    capabilities = Capabilities(survives_worker_death=True, multi_host=True, shares_calls=True)


class DynAutoRedisMapping(AutoscaledMapping, DynRedisMapping):
    """Runs what dyn_redis runs; workers rest while there is little to do."""

    name = "dyn_auto_redis"
    old_strategy = "idle", "milliseconds that a worker may be idle (1000)", "--idle_time"
