"""The commands ``dispel4py worker`` and ``dispel4py runs``: runs on a Redis server."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Callable, Iterable
from time import monotonic, sleep

from d4py_dynamic.redis_guests import RunInfo, choose, read_terms, run_key, runs
from d4py_dynamic.redis_keys import RunKeys
from d4py_dynamic.redis_run import RedisRunStore, join_run
from d4py_dynamic.redis_server import (
    Address,
    add_server_arguments,
    connect,
    known_server,
    service_errors,
)
from d4py_dynamic.redis_worker import RedisOrders, work_as_guest
from d4py_dynamic.tasks import ANY, LEAVE, Task
from dispel4py.errors import OptionError, ServiceError, WorkerLostError
from dispel4py.processes import START_METHODS, Crew, usable_cores
from dispel4py.secret import secret_of_guest

_LOG = logging.getLogger("dispel4py.worker")

#: Seconds between two looks at the workers, and at the server while there is no run.
_TICK_SECONDS, _LOOK_SECONDS = 0.05, 0.2
#: Seconds that workers have to give back what they hold.
_LEAVE_SECONDS = 1.5

PrintTable = Callable[[Iterable[str], Iterable[Iterable[str]]], None]


class WorkerCommand:
    """Take part in a run on a Redis server, with processes of this host.

    The workflow's code and PEs come from the run.  Ctrl-C gives back what was begun.
    """

    example = "dispel4py worker --redis-url redis://HOST:6379 --key-file run.key -n 4"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """See `dispel4py.registry.Command`."""
        add_server_arguments(parser)
        parser.add_argument("--run", metavar="ID", help="which run (default: the one that is open)")
        parser.add_argument(
            "-n", "--num", type=int, metavar="N", help="number of processes (default: one per core)"
        )
        parser.add_argument(
            "--key-file",
            metavar="FILE",
            help="where the run's key is; the variable D4PY_KEY may hold the key instead",
        )
        parser.add_argument(
            "--wait",
            type=float,
            default=0.0,
            metavar="SECONDS",
            help="how long to wait for a run (default: %(default)g)",
        )
        parser.add_argument(
            "--start-method",
            choices=START_METHODS,
            help="how worker processes are started (default: the quickest that is safe)",
        )

    def run(self, options: argparse.Namespace, print_table: PrintTable) -> int:
        """See `dispel4py.registry.Command`."""
        count = usable_cores() if options.num is None else options.num
        if count < 1:
            raise OptionError(f"-n is {count}; the least that would do is 1")
        secret = secret_of_guest(options.key_file)
        address = known_server(vars(options))
        with service_errors(address), connect(address) as client:
            info = _await_run(lambda: choose(client, options.run), options.wait, address)
            key = run_key(secret, info.run_id)
            keys, terms = read_terms(client, info, key)
            ranks = [join_run(client, keys) for _ in range(count)]
        orders = [(RedisOrders(address, keys, key, rank, terms),) for rank in ranks]
        _LOG.info("taking part in run %s with %d processes", info.run_id, count)
        return Guests(address, keys, key, ranks, orders, options.start_method).serve()


class Guests:
    """The worker processes of this host.

    Args:
        address: the server.
        keys: the run's keys.
        key: the run's key.
        ranks: their numbers.
        orders: what each is started with.
        start_method: how.
    """

    def __init__(
        self,
        address: Address,
        keys: RunKeys,
        key: bytes,
        ranks: list[int],
        orders: list[tuple[RedisOrders]],
        start_method: str | None,
    ) -> None:
        self._store = RedisRunStore(address, keys, key)
        self._ranks = ranks
        self._crew = Crew(work_as_guest, orders, start_method)

    def serve(self) -> int:
        """Work to the end of the run; the exit status.

        Raises:
            KeyboardInterrupt: after everything was given back.
        """
        lost = 0
        try:
            while not self._crew.join(_TICK_SECONDS):
                lost += self._see_lost()
            lost += self._see_lost()
        except KeyboardInterrupt:
            self._leave()
            raise
        finally:
            self._crew.stop()
        return 1 if lost == len(self._ranks) else 0

    def _see_lost(self) -> int:
        """Give up workers that died; how many did."""
        lost = 0
        while True:
            try:
                self._crew.check()
                return lost
            except WorkerLostError as error:
                lost += 1
                self._store.lose(self._ranks[error.rank], ())
                _LOG.warning("%s; others go on with its work", error)

    def _leave(self) -> None:
        """Let workers end what they have in hand, and give back everything else."""
        for rank in self._ranks:
            self._store.put([Task(LEAVE, ANY)], rank)
        self._crew.join(_LEAVE_SECONDS)
        self._crew.stop()
        for rank in self._ranks:
            self._store.lose(rank, ())


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
        driver += f" (silent for {info.silent:.0f} s)"
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


def _await_run(look: Callable[[], RunInfo | None], seconds: float, address: Address) -> RunInfo:
    until = monotonic() + seconds
    while True:
        info = look()
        if info is not None:
            return info
        if monotonic() >= until:
            raise ServiceError(
                f"there is no run to join at {address}; start one there with --key-file or"
                " $D4PY_KEY, or wait for it with --wait SECONDS"
            )
        sleep(_LOOK_SECONDS)
