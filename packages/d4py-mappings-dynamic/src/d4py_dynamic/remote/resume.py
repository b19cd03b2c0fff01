"""Taking up a run on Redis whose driver is dead: ``dispel4py resume``, and the same from Python.

All that a run has done is on the server, up to the last commit of each worker.  A new driver gives
up the workers of the old one, which can commit nothing from then on, and has new ones go on.
"""

from __future__ import annotations

import argparse
import os
import socket
from collections.abc import Mapping
from dataclasses import replace
from time import monotonic, sleep
from typing import Any

import redis

from d4py_dynamic.driver.limits import HEARTBEAT_SECONDS
from d4py_dynamic.mappings.base import lease
from d4py_dynamic.mappings.redis import RedisBackend, RedisMapping
from d4py_dynamic.remote.run_directory import (
    RunInfo,
    add_key_argument,
    read_resumption,
    read_spec,
    run_info,
    run_key,
    runs,
)
from d4py_dynamic.store.protocols import Progress
from d4py_dynamic.store.redis.address import Address
from d4py_dynamic.store.redis.client import connect
from d4py_dynamic.store.redis.errors import service_errors
from d4py_dynamic.store.redis.server import add_server_arguments, known_server
from d4py_dynamic.store.serialization import CODEC
from dispel4py.engine.inputs import RootInput, root_inputs
from dispel4py.engine.plan import Plan
from dispel4py.errors import InputError, OptionError, ServiceError, name_list
from dispel4py.logs import get_logger
from dispel4py.processes.run_secret import joining_secret, removed_with_run
from dispel4py.processes.start_methods import Start
from dispel4py.registry import load_mapping
from dispel4py.result import RunOptions, RunResult

_LOG = get_logger("resume")

#: Seconds without a sign of life after which a driver counts as dead.
_DEAD_SECONDS = 5 * HEARTBEAT_SECONDS
_LOOK_SECONDS = 0.1


def resume(run_id: str | None, options: RunOptions, inputs: Any = None) -> RunResult:
    """Take up a run whose driver is dead, and drive it to its end.

    All results of the run are handed out, those too that its driver had before it died.

    Args:
        run_id: the run; None takes the only one that can be taken up.
        options: how; `extra` names the server (``redis_url``, …) and the key (``key_file``).
            Whether errors are skipped is as in the run.
        inputs: for roots that were fed from an iterable: the same as before, from the beginning.

    Raises:
        UsageError: there is no such run, it cannot be taken up, or its driver lives.
        RunError: the run failed.
    """
    address = known_server(options.extra)
    key_file = options.extra.get("key_file")
    secret = joining_secret(key_file)
    with service_errors(address), connect(address) as client:
        info = _await_death(client, _choose(client, run_id, address), address)
        key = run_key(secret, info.run_id)
        keys, spec, _ = read_spec(client, info, key)
        resumption = read_resumption(client, keys, key)
    plan = spec.bundle.look(CODEC)
    mapping = load_mapping(resumption.mapping)
    assert isinstance(mapping, RedisMapping)
    extra = {**resumption.extra, **{k: v for k, v in options.extra.items() if v is not None}}
    count = resumption.processes if options.processes is None else options.processes
    options = replace(options, processes=count, extra=extra)
    given = root_inputs(plan, inputs) if inputs is not None else {}
    start = Start.of(extra)
    backend = RedisBackend(address, keys, key, plan, spec, resumption)
    with removed_with_run(key_file, resumption.key_file), backend.cleared():
        progress = backend.store.take_over(info.last_sign)
        _LOG.info("taking up run %s", info.run_id)
        still = _still_to_feed(plan, resumption.feeding, progress, given)
        backend.offer(lease(extra))
        return mapping.drive(plan, still, spec, start, backend, options, progress)


def _choose(client: redis.Redis, run_id: str | None, address: Address) -> RunInfo:
    found = [info for info in runs(client) if run_id in (None, info.run_id)]
    able = [info for info in found if info.is_resumable]
    if not able and found and run_id is not None:
        raise OptionError(
            f"run {run_id} cannot be taken up: it was started without --resumable, or its driver"
            " died before it had begun"
        )
    if not able:
        what = "run to take up" if run_id is None else f"run {run_id}"
        raise ServiceError(f"there is no {what} on the Redis server at {address}")
    if len(able) > 1:
        names = ", ".join(info.run_id for info in able)
        raise OptionError(f"several runs can be taken up; name one of them: {names}")
    return able[0]


def _await_death(client: redis.Redis, info: RunInfo, address: Address) -> RunInfo:
    """Be sure that the driver is dead.

    Raises:
        OptionError: it lives.
    """
    until = monotonic() + _DEAD_SECONDS
    found: RunInfo | None = info
    while found is not None:
        if found.last_sign != info.last_sign:
            raise OptionError(
                f"run {info.run_id} has a driver that is alive: process {found.process} on"
                f" {found.host}"
            )
        if found.silent >= _DEAD_SECONDS or _is_gone(found) or monotonic() >= until:
            return found
        sleep(_LOOK_SECONDS)
        found = run_info(client, info.run_id)
    raise ServiceError(f"run {info.run_id} on the Redis server at {address} has ended")


def _is_gone(info: RunInfo) -> bool:
    """The driver was a process of this machine, which is not there any more."""
    if info.host != socket.gethostname():
        return False
    try:
        os.kill(info.process, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        pass
    return False


def _still_to_feed(
    plan: Plan, feeding: tuple[int, ...], progress: Progress, given: Mapping[int, RootInput]
) -> dict[int, RootInput]:
    roots = [pe for pe in feeding if not (pe in progress.fed and progress.fed[pe].ended)]
    missing = [plan.pes[pe].id for pe in roots if pe not in given]
    if missing:
        raise InputError(
            f"the inputs of {name_list(missing)} are needed once more, from the beginning: they"
            " came from an iterable, and only what was read of it is on the server"
        )
    return {pe: given[pe] for pe in roots}


class ResumeCommand:
    """Take up a run on Redis whose driver has died, and drive it to its end.

    The run must have been started with --resumable.  All its results are handed out, those too that
    the driver had before it died.
    """

    example = "dispel4py resume --redis-url redis://HOST:6379 --key-file run.key 5f0c1a2b"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """See `dispel4py.registry.JobCommand`."""
        parser.add_argument(
            "run", nargs="?", metavar="RUN", help="which run (default: the one that can be)"
        )
        add_server_arguments(parser)
        parser.add_argument(
            "-n", "--num", type=int, metavar="N", help="number of processes (default: as before)"
        )
        add_key_argument(parser)

    def run_job(self, options: argparse.Namespace, run_options: RunOptions) -> RunResult:
        """See `dispel4py.registry.JobCommand`."""
        extra = {
            name: getattr(options, name)
            for name in ("redis_url", "redis_ip", "redis_port", "reconnect", "key_file")
        }
        chosen = replace(run_options, processes=options.num, extra=extra, least_processes=0)
        return resume(options.run, chosen)
