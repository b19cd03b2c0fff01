"""The worker processes of a host that has joined a run on Redis.

They are watched until the run is over, and those that die are reported to the driver.  When the
command is interrupted, workers return their work to the run before they end.
"""

from __future__ import annotations

import socket
from contextlib import suppress
from itertools import repeat
from time import monotonic

from d4py_dynamic.driver.limits import HEARTBEAT_SECONDS
from d4py_dynamic.mappings.redis_worker import RedisWorkerSpec, remote_worker_main
from d4py_dynamic.remote.limits import RemoteLimits
from d4py_dynamic.remote.run_directory import RunInfo, read_run
from d4py_dynamic.store.protocols import WorkerExited
from d4py_dynamic.store.redis.connections.address import Address
from d4py_dynamic.store.redis.connections.client import Clients
from d4py_dynamic.store.redis.connections.errors import RunGoneError, service_errors
from d4py_dynamic.store.redis.keys import RunKeys
from d4py_dynamic.store.redis.run_store import RedisRunStore
from d4py_dynamic.store.tasks import ANY, DRAIN, Task
from d4py_dynamic.worker.spec import WorkerSpec
from dispel4py.errors import D4pyError, ServiceError, WorkerLostError
from dispel4py.logs import get_logger
from dispel4py.processes.user_code_thread import describe_threads
from dispel4py.processes.workers.pool import WorkerPool
from dispel4py.processes.workers.start_methods import Start
from dispel4py.stop_signals import stop_signals_blocked

_LOG = get_logger("worker")


class RemoteWorkers:
    """The worker processes of this host.

    Args:
        address: the server.
        keys: the run's keys.
        key: the run's key.
        spec: what every worker is started with.
        lease: seconds without a heartbeat after which the driver counts as dead.
        count: number of processes.
        start: how they are started.
        limits: intervals and limits.
    """

    def __init__(
        self,
        address: Address,
        keys: RunKeys,
        key: bytes,
        spec: WorkerSpec,
        lease: float,
        count: int,
        start: Start,
        limits: RemoteLimits = RemoteLimits(),
    ) -> None:
        self._address = address
        self._keys = keys
        self._key = key
        self._spec = spec
        self._lease = lease
        self._count = count
        self._start_method = start
        self._limits = limits
        self._store = RedisRunStore(address, keys, key)
        self._ranks: list[int] = []
        self._lost: set[int] = set()
        self._driver_id = ""
        self._pool = WorkerPool(remote_worker_main, [], start)

    def serve(self) -> int:
        """Work to the end of the run, and return the exit status.

        Raises:
            KeyboardInterrupt: interrupted, after all work was returned to the run.
            RunError: a PE raised here, or the driver is dead; all work was returned.
        """
        try:
            self._start()
            while not self._watch():
                _LOG.info("run %s has another driver; joining it again", self._keys.run_id)
                self._pool.stop()
                self._start()
        except BaseException:
            self._leave()
            raise
        finally:
            self._pool.stop()
        return 1 if len(self._lost) == self._count else 0

    def _start(self) -> None:
        self._lost.clear()
        info = self._read_run()
        self._driver_id = "" if info is None else info.driver_id
        try:
            with stop_signals_blocked():  # an interrupt finds all joined workers in _ranks
                self._ranks = [self._store.join() for _ in range(self._count)]
        except RunGoneError as error:
            raise ServiceError(f"run {self._keys.run_id} has ended") from error
        specs = [
            RedisWorkerSpec(self._address, self._keys, self._key, rank, self._spec)
            for rank in self._ranks
        ]
        self._pool = WorkerPool(remote_worker_main, [(spec,) for spec in specs], self._start_method)

    def _watch(self) -> bool:
        """Watch the workers until they have ended, or the run is over.

        Returns:
            False if the run has another driver, which has evicted all workers.
        """
        check_at = monotonic() + HEARTBEAT_SECONDS
        try:
            while not self._pool.join(self._limits.tick_seconds):
                self._report_lost()
                if monotonic() >= check_at:
                    check_at = monotonic() + HEARTBEAT_SECONDS
                    self._send_heartbeats()
                    if not self._run_exists():
                        break
                    if self._has_another_driver():
                        return False
            # The run is over: idle workers end by themselves, calls still in progress are stopped.
            have_ended = self._pool.join(self._limits.end_seconds)
            self._report_lost()
            if have_ended:
                self._pool.wait_for_descendants()
        except ServiceError:  # by which a worker learns that it was evicted
            if not self._has_another_driver():
                raise
            return False
        return True

    def _read_run(self) -> RunInfo | None:
        with service_errors(self._address), Clients(self._address) as clients:
            return read_run(clients, self._keys.run_id)

    def _has_another_driver(self) -> bool:
        info = self._read_run()
        return info is not None and info.driver_id != self._driver_id

    def _run_exists(self) -> bool:
        """Return whether the run goes on.

        Raises:
            ServiceError: its driver is dead.
        """
        info = self._read_run()
        if info is not None and info.seconds_since_heartbeat > self._lease:
            raise ServiceError(
                f"the driver of run {info.run_id} ({info.host}, process {info.process}) has sent no"
                f" heartbeat for {info.seconds_since_heartbeat:.0f} s; what the run has done so far"
                f" stays on the server at {self._address}"
            )
        return info is not None

    def _send_heartbeats(self) -> None:
        """Send heartbeats for workers that run: a call that holds the GIL keeps them from it."""
        numbers = enumerate(self._ranks)
        self._store.send_heartbeats(
            rank for number, rank in numbers if self._pool.is_running(number)
        )

    def _report_lost(self) -> None:
        """Report workers that died to the driver.

        Raises:
            D4pyError: a worker failed.
        """
        errors = []
        for failure in self._pool.check():
            if not isinstance(failure, WorkerLostError):
                errors.append(failure)
                continue
            rank = self._ranks[failure.rank]
            self._lost.add(rank)
            self._store.send_event(
                WorkerExited(rank, failure.pid, f"{failure.cause}{_on_this_host()}")
            )
            _LOG.warning("%s; other workers continue its work", failure)
        if errors:
            raise errors[0]

    def _leave(self) -> None:
        """Have workers drain: finish the call in progress, and return everything else."""
        with suppress(ServiceError):
            for rank in self._ranks:
                self._store.put([Task(DRAIN, ANY)], rank)
        have_drained = self._pool.join(self._limits.drain_seconds)
        with suppress(D4pyError):  # an error, or an interrupt, is being raised already
            self._report_lost()
        self._pool.stop()
        with suppress(ServiceError):
            processes = self._pool.pids or repeat(0)
            for number, (rank, process) in enumerate(zip(self._ranks, processes, strict=False)):
                if rank in self._lost:
                    continue
                cause = f"its command was interrupted{_on_this_host()}"
                threads = [] if have_drained else self._pool.finishing(number)
                if threads:
                    _LOG.warning("stopped while %s still ran", describe_threads(threads))
                self._store.send_event(WorkerExited(rank, process, cause, drained=not threads))


def _on_this_host() -> str:
    return f", on {socket.gethostname()}"
