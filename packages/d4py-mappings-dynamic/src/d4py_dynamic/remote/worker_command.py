"""The command ``dispel4py worker``, which joins a run on a Redis server."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable
from time import monotonic, sleep

import redis

from d4py_dynamic.remote.limits import RemoteLimits
from d4py_dynamic.remote.remote_workers import RemoteWorkers
from d4py_dynamic.remote.run_directory import (
    RunInfo,
    add_key_argument,
    find_run,
    read_spec,
    wrong_key_of_open_runs,
)
from d4py_dynamic.store.redis.address import Address
from d4py_dynamic.store.redis.client import connect
from d4py_dynamic.store.redis.errors import service_errors
from d4py_dynamic.store.redis.run_info import run_key
from d4py_dynamic.store.redis.server import add_server_arguments, known_server
from dispel4py.errors import OptionError, ServiceError
from dispel4py.files.file_limit import FILES_PER_WORKER, raise_file_limit
from dispel4py.logs import get_logger
from dispel4py.processes.run_secret import joining_secret
from dispel4py.processes.start_methods import Start, add_start_arguments, usable_cores

_LOG = get_logger("worker")

PrintTable = Callable[[Iterable[str], Iterable[Iterable[str]]], None]


class WorkerCommand:
    """Take part in a run on a Redis server, with processes of this host.

    The workflow's code and PEs come from the run.  Ctrl-C returns unfinished work to the run.
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
        limits = RemoteLimits()
        with service_errors(address), connect(address) as client:
            info = _wait_for_run(client, options.run, secret, options.wait, address, limits)
            key = run_key(secret, info.run_id)
            keys, spec, lease = read_spec(client, info, key)
        raise_file_limit(FILES_PER_WORKER * count, f"{count} worker processes")
        workers = RemoteWorkers(address, keys, key, spec, lease, count, start, limits)
        _LOG.info("taking part in run %s with %d processes", info.run_id, count)
        status = workers.serve()
        _LOG.info("run %s has ended", info.run_id)
        return status


def _wait_for_run(
    client: redis.Redis,
    run_id: str | None,
    secret: str,
    seconds: float,
    address: Address,
    limits: RemoteLimits,
) -> RunInfo:
    """Return the run to join, as soon as there is one.

    Raises:
        OptionError: the key is that of no open run, or several runs could be joined.
        ServiceError: there is no run after some seconds.
    """
    until = monotonic() + seconds
    while True:
        info = find_run(client, run_id, secret)
        if info is not None:
            return info
        if monotonic() >= until:
            if run_id is not None:
                raise ServiceError(f"there is no run {run_id} at {address}; see: dispel4py runs")
            wrong_key = wrong_key_of_open_runs(client)
            if wrong_key is not None:
                raise wrong_key
            raise ServiceError(
                f"there is no run to join at {address}; start one there with --key-file or"
                " $D4PY_KEY, or wait for it with --wait SECONDS"
            )
        sleep(limits.run_poll_seconds)
