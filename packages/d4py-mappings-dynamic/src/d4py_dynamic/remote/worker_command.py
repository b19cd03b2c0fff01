"""The commands ``dispel4py worker`` and ``dispel4py runs``: runs on a Redis server."""

from __future__ import annotations

import argparse
import socket
from collections.abc import Callable, Iterable
from contextlib import suppress
from itertools import repeat
from time import monotonic, sleep

import redis

from d4py_dynamic.driver.limits import HEARTBEAT_SECONDS
from d4py_dynamic.mappings.redis_worker import RedisWorkerSpec, work_as_guest
from d4py_dynamic.remote.run_directory import (
    RunInfo,
    add_key_argument,
    choose,
    closed_to,
    read_spec,
    run_info,
    run_key,
    runs,
)
from d4py_dynamic.store.protocols import Gone
from d4py_dynamic.store.redis.address import Address
from d4py_dynamic.store.redis.client import connect
from d4py_dynamic.store.redis.errors import RunGoneError, service_errors
from d4py_dynamic.store.redis.keys import RunKeys
from d4py_dynamic.store.redis.run_store import RedisRunStore
from d4py_dynamic.store.redis.server import add_server_arguments, known_server
from d4py_dynamic.store.tasks import ANY, LEAVE, Task
from d4py_dynamic.worker.spec import WorkerSpec
from dispel4py.errors import D4pyError, OptionError, ServiceError, WorkerLostError
from dispel4py.files.file_limit import FILES_PER_WORKER, make_room
from dispel4py.logs import get_logger
from dispel4py.processes.ending import name_threads
from dispel4py.processes.pool import WorkerPool
from dispel4py.processes.run_secret import joining_secret
from dispel4py.processes.start_methods import (
    Start,
    add_start_arguments,
    signals_held_back,
    usable_cores,
)

_LOG = get_logger("worker")

#: Seconds between two looks at the workers, and at the server while there is no run.
_TICK_SECONDS, _LOOK_SECONDS = 0.05, 0.2
#: Seconds that workers have to give back what they hold, and to notice that the run is over.
_LEAVE_SECONDS, _FAREWELL_SECONDS = 1.5, 0.5

PrintTable = Callable[[Iterable[str], Iterable[Iterable[str]]], None]


class WorkerCommand:
    """Take part in a run on a Redis server, with processes of this host.

    The workflow's code and PEs come from the run.  Ctrl-C gives back what was begun.
    """

    example = "dispel4py worker --redis-url redis://HOST:6379 --key-file run.key -n 4"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """See `dispel4py.registry.Command`."""
        add_server_arguments(parser)
        parser.add_argument(
            "--run", metavar="ID", help="which run (default: the one that the key opens)"
        )
        parser.add_argument(
            "-n", "--num", type=int, metavar="N", help="number of processes (default: one per core)"
        )
        add_key_argument(parser)
        parser.add_argument(
            "--wait",
            type=float,
            default=0.0,
            metavar="SECONDS",
            help="how long to wait for a run (default: %(default)g)",
        )
        add_start_arguments(parser)

    def run(self, options: argparse.Namespace, print_table: PrintTable) -> int:
        """See `dispel4py.registry.Command`."""
        count = usable_cores() if options.num is None else options.num
        if count < 1:
            raise OptionError(f"-n is {count}; it must be at least 1")
        start = Start.of(vars(options))
        secret = joining_secret(options.key_file)
        address = known_server(vars(options))
        with service_errors(address), connect(address) as client:
            info = _await_run(client, options.run, secret, options.wait, address)
            key = run_key(secret, info.run_id)
            keys, spec, lease = read_spec(client, info, key)
        make_room(FILES_PER_WORKER * count, f"{count} worker processes")
        guests = RemoteWorkers(address, keys, key, spec, lease, count, start)
        _LOG.info("taking part in run %s with %d processes", info.run_id, count)
        status = guests.serve()
        _LOG.info("run %s has ended", info.run_id)
        return status


class RemoteWorkers:
    """The worker processes of this host.

    Args:
        address: the server.
        keys: the run's keys.
        key: the run's key.
        spec: what workers are started with.
        lease: seconds after which a silent driver counts as dead.
        count: how many.
        start: how they are started.
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
    ) -> None:
        self._address = address
        self._keys = keys
        self._key = key
        self._spec = spec
        self._lease = lease
        self._count = count
        self._how = start
        self._store = RedisRunStore(address, keys, key)
        self._ranks: list[int] = []
        self._lost: set[int] = set()
        self._driver = ""
        self._pool = WorkerPool(work_as_guest, [], start)

    def serve(self) -> int:
        """Work to the end of the run; the exit status.

        Raises:
            KeyboardInterrupt: after everything was given back.
            RunError: so are these, be it that the driver is dead or that a PE raised here.
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
        info = self._info()
        self._driver = "" if info is None else info.driver
        try:
            with signals_held_back():  # whoever has joined is seen off, whatever comes
                self._ranks = [self._store.join() for _ in range(self._count)]
        except RunGoneError as error:
            raise ServiceError(f"run {self._keys.run_id} has ended") from error
        orders = [
            (RedisWorkerSpec(self._address, self._keys, self._key, rank, self._spec),)
            for rank in self._ranks
        ]
        self._pool = WorkerPool(work_as_guest, orders, self._how)

    def _watch(self) -> bool:
        """See to the workers until they have ended, or the run is over.

        Returns:
            False if the run has another driver, which has given up all workers.
        """
        look_at = monotonic() + HEARTBEAT_SECONDS
        try:
            while not self._pool.join(_TICK_SECONDS):
                self._see_lost()
                if monotonic() >= look_at:
                    look_at = monotonic() + HEARTBEAT_SECONDS
                    self._sign()
                    if not self._is_run_there():
                        break
                    if self._is_taken_over():
                        return False
            # A call that goes on now is for nobody; a worker that waited ends by itself.
            have_ended = self._pool.join(_FAREWELL_SECONDS)
            self._see_lost()
            if have_ended:
                self._pool.see_off()
        except ServiceError:  # this is how a worker learns that it was given up
            if not self._is_taken_over():
                raise
            return False
        return True

    def _info(self) -> RunInfo | None:
        with service_errors(self._address), connect(self._address) as client:
            return run_info(client, self._keys.run_id)

    def _is_taken_over(self) -> bool:
        info = self._info()
        return info is not None and info.driver != self._driver

    def _is_run_there(self) -> bool:
        """The run is not over.

        Raises:
            ServiceError: its driver is dead.
        """
        info = self._info()
        if info is not None and info.silent > self._lease:
            raise ServiceError(
                f"the driver of run {info.run_id} ({info.host}, process {info.process}) has given"
                f" no sign of life for {info.silent:.0f} s; what the run has done so far stays on"
                f" the server at {self._address}"
            )
        return info is not None

    def _sign(self) -> None:
        """Give the sign of life of workers that run, which may be in a call that keeps the GIL."""
        numbers = enumerate(self._ranks)
        self._store.sign(rank for number, rank in numbers if self._pool.is_running(number))

    def _see_lost(self) -> None:
        """Tell the driver at once of workers that died."""
        while True:
            try:
                self._pool.check()
                return
            except WorkerLostError as error:
                rank = self._ranks[error.rank]
                self._lost.add(rank)
                self._store.tell(Gone(rank, error.pid, f"{error.cause}{_here()}"))
                _LOG.warning("%s; others go on with its work", error)

    def _leave(self) -> None:
        """Let workers end what they have in hand, and give back everything else."""
        with suppress(ServiceError):
            for rank in self._ranks:
                self._store.put([Task(LEAVE, ANY)], rank)
        has_left = self._pool.join(_LEAVE_SECONDS)
        with suppress(D4pyError):  # there is one already, or this is Ctrl-C
            self._see_lost()
        self._pool.stop()
        with suppress(ServiceError):
            processes = self._pool.pids or repeat(0)
            for number, (rank, process) in enumerate(zip(self._ranks, processes, strict=False)):
                if rank in self._lost:
                    continue
                cause = f"told to leave{_here()}"
                threads = [] if has_left else self._pool.finishing(number)
                if threads:
                    _LOG.warning("stopped while %s still ran", name_threads(threads))
                self._store.tell(Gone(rank, process, cause, has_left=not threads))


def _here() -> str:
    return f", on {socket.gethostname()}"


class RunsCommand:
    """List the runs on a Redis server, with their progress and workers."""

    example = "dispel4py runs --redis-url redis://HOST:6379"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """See `dispel4py.registry.Command`."""
        add_server_arguments(parser)

    def run(self, options: argparse.Namespace, print_table: PrintTable) -> int:
        """See `dispel4py.registry.Command`."""
        address = known_server(vars(options))
        with service_errors(address), connect(address) as client:
            found = runs(client)
        if not found:
            print(f"no runs at {address}")
            return 0
        titles = ("run", "mapping", "driver", "since", "workers", "calls", "unfinished", "open to")
        print_table(titles, map(_row, found))
        return 0


def _row(info: RunInfo) -> list[str]:
    driver = f"{info.host}, process {info.process}"
    if info.silent > 5:
        resumable = "; can be resumed" if info.is_resumable else ""
        driver += f" (silent for {info.silent:.0f} s{resumable})"
    return [
        info.run_id,
        info.mapping,
        driver,
        f"{info.seconds:.0f} s",
        str(info.workers),
        str(info.calls),
        str(info.unfinished),
        "workers with its key" if info.is_open else "nobody",
    ]


def _await_run(
    client: redis.Redis, run_id: str | None, secret: str, seconds: float, address: Address
) -> RunInfo:
    until = monotonic() + seconds
    while True:
        info = choose(client, run_id, secret)
        if info is not None:
            return info
        if monotonic() >= until:
            if run_id is not None:
                raise ServiceError(f"there is no run {run_id} at {address}; see: dispel4py runs")
            closed = closed_to(client)
            if closed is not None:
                raise closed
            raise ServiceError(
                f"there is no run to join at {address}; start one there with --key-file or"
                " $D4PY_KEY, or wait for it with --wait SECONDS"
            )
        sleep(_LOOK_SECONDS)
