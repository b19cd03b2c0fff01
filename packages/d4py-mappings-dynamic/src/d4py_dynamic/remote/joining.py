"""How processes of this host join a run on a Redis server, for ``dispel4py worker``."""

from __future__ import annotations

import argparse

from d4py_dynamic.remote.limits import RemoteLimits
from d4py_dynamic.remote.remote_workers import RemoteWorkers
from d4py_dynamic.remote.run_directory import read_spec, wait_for_run
from d4py_dynamic.store.redis.connections.client import Clients
from d4py_dynamic.store.redis.connections.errors import service_errors
from d4py_dynamic.store.redis.connections.server import known_server
from d4py_dynamic.store.redis.run_info import run_key
from dispel4py.errors import OptionError
from dispel4py.files.file_limit import FILES_PER_WORKER, raise_file_limit
from dispel4py.logs import get_logger
from dispel4py.processes.cores import usable_cores
from dispel4py.processes.run_secret import joining_secret
from dispel4py.processes.workers.start_methods import Start

_LOG = get_logger("worker")


def join_run(options: argparse.Namespace) -> int:
    """Take part in a run, to its end.

    Args:
        options: those of `d4py_dynamic.remote.worker_command.WorkerCommand`.

    Returns:
        The exit status.

    Raises:
        OptionError: an option has an invalid value, or the key is that of no open run.
        ServiceError: there is no run, or the server fails.
    """
    count = usable_cores() if options.num is None else options.num
    if count < 1:
        raise OptionError(f"-n is {count}; it must be at least 1")
    start = Start.of(vars(options))
    secret = joining_secret(options.key_file)
    address = known_server(vars(options))
    limits = RemoteLimits()
    with service_errors(address), Clients(address) as clients:
        info = wait_for_run(clients, options.run, secret, options.wait, address, limits)
        key = run_key(secret, info.run_id)
        keys, spec, lease = read_spec(clients, info, key)
    raise_file_limit(FILES_PER_WORKER * count, f"{count} worker processes")
    workers = RemoteWorkers(address, keys, key, spec, lease, count, start, limits)
    _LOG.info("taking part in run %s with %d processes", info.run_id, count)
    status = workers.serve()
    _LOG.info("run %s has ended", info.run_id)
    return status
