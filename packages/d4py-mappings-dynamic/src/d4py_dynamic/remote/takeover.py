"""How a run on Redis is resumed whose driver is dead.

All work of a run is on the server, up to the last commit of each worker.  A new driver evicts the
workers of the old one, which can commit nothing from then on, and starts new ones.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from dataclasses import replace
from time import monotonic, sleep
from typing import Any

from d4py_dynamic.mappings.base import lease_seconds
from d4py_dynamic.mappings.redis import RedisBackend, RedisMapping
from d4py_dynamic.remote.limits import RemoteLimits
from d4py_dynamic.remote.run_directory import (
    RunInfo,
    list_runs,
    read_resumption,
    read_run,
    read_spec,
)
from d4py_dynamic.store.protocols import DriverState
from d4py_dynamic.store.redis.connections.address import Address
from d4py_dynamic.store.redis.connections.client import Clients
from d4py_dynamic.store.redis.connections.errors import service_errors
from d4py_dynamic.store.redis.connections.server import known_server
from d4py_dynamic.store.redis.run_info import run_key
from d4py_dynamic.store.serialization import CODEC
from dispel4py.engine.inputs import RootInput, root_inputs
from dispel4py.engine.planning.plan import Plan
from dispel4py.errors import InputError, OptionError, ServiceError, name_list
from dispel4py.logs import get_logger
from dispel4py.processes.run_secret import joining_secret, removed_with_run
from dispel4py.processes.workers.start_methods import Start
from dispel4py.registry import load_mapping
from dispel4py.result import RunOptions, RunResult

_LOG = get_logger("resume")


def resume_run(
    run_id: str | None, options: RunOptions, inputs: Any, limits: RemoteLimits
) -> RunResult:
    """Resume a run; see `d4py_dynamic.remote.resume.resume`."""
    address = known_server(options.extra)
    key_file = options.extra.get("key_file")
    secret = joining_secret(key_file)
    with service_errors(address), Clients(address) as clients:
        info = _wait_for_death(clients, _find_resumable(clients, run_id, address), address, limits)
        key = run_key(secret, info.run_id)
        keys, spec, _ = read_spec(clients, info, key)
        resumption = read_resumption(clients, keys, key)
    plan = spec.bundle.load_plan(CODEC)
    mapping = load_mapping(resumption.mapping)
    assert isinstance(mapping, RedisMapping)
    extra = {**resumption.extra, **{k: v for k, v in options.extra.items() if v is not None}}
    count = resumption.processes if options.processes is None else options.processes
    options = replace(options, processes=count, extra=extra)
    given = root_inputs(plan, inputs) if inputs is not None else {}
    start = Start.of(extra)
    backend = RedisBackend(address, keys, key, plan, spec, resumption, can_be_resumed=True)
    with removed_with_run(key_file, resumption.key_file), backend.deleted_at_end():
        previous = backend.store.take_over(info.last_heartbeat)
        _LOG.info("resuming run %s", info.run_id)
        unfed = _unfed_inputs(plan, resumption.feeding, previous, given)
        backend.accept_workers(lease_seconds(extra))
        return mapping.drive(plan, unfed, spec, start, backend, options, previous)


def _find_resumable(clients: Clients, run_id: str | None, address: Address) -> RunInfo:
    """Return the run of that name, or the only one that can be resumed.

    Raises:
        OptionError: the run cannot be resumed, or several can.
        ServiceError: there is no such run.
    """
    found = [info for info in list_runs(clients) if run_id in (None, info.run_id)]
    resumable = [info for info in found if info.is_resumable]
    if not resumable:
        raise _not_resumable(run_id, address, exists=bool(found))
    if len(resumable) > 1:
        names = ", ".join(info.run_id for info in resumable)
        raise OptionError(f"several runs can be resumed; name one of them: {names}")
    return resumable[0]


def _not_resumable(run_id: str | None, address: Address, *, exists: bool) -> Exception:
    """Return the error if no run can be resumed; `exists`: there are runs of that name."""
    if run_id is None:
        return ServiceError(f"there is no run to resume on the Redis server at {address}")
    if not exists:
        return ServiceError(f"there is no run {run_id} on the Redis server at {address}")
    return OptionError(
        f"run {run_id} cannot be resumed: it was started without --resumable, or its driver"
        " died before it had begun"
    )


def _wait_for_death(
    clients: Clients, info: RunInfo, address: Address, limits: RemoteLimits
) -> RunInfo:
    """Wait until the driver is known to be dead, and return what can be read of its run then.

    Raises:
        OptionError: the driver is alive.
        ServiceError: the run has ended.
    """
    until = monotonic() + limits.dead_seconds
    found: RunInfo | None = info
    while found is not None:
        if found.last_heartbeat != info.last_heartbeat:
            raise OptionError(
                f"run {info.run_id} has a driver that is alive: process {found.process} on"
                f" {found.host}"
            )
        is_late = found.seconds_since_heartbeat >= limits.dead_seconds
        if is_late or _has_ended(found) or monotonic() >= until:
            return found
        sleep(limits.driver_poll_seconds)
        found = read_run(clients, info.run_id)
    raise ServiceError(f"run {info.run_id} on the Redis server at {address} has ended")


def _has_ended(info: RunInfo) -> bool:
    """Return whether the driver was a process of this machine that has ended."""
    if info.host != socket.gethostname():
        return False
    try:
        os.kill(info.process, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        pass
    return False


def _unfed_inputs(
    plan: Plan, feeding: tuple[int, ...], previous: DriverState, given: Mapping[int, RootInput]
) -> dict[int, RootInput]:
    """Return the inputs of the roots that were not fed to the end.

    Raises:
        InputError: some of these inputs are not given.
    """
    roots = [pe for pe in feeding if not (pe in previous.offsets and previous.offsets[pe].ended)]
    missing = [plan.pes[pe].id for pe in roots if pe not in given]
    if missing:
        raise InputError(
            f"the inputs of {name_list(missing)} are needed again, from the beginning: they came"
            " from an iterable, and the server has only the part that was read"
        )
    return {pe: given[pe] for pe in roots}
