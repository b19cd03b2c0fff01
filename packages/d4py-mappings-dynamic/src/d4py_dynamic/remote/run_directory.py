"""The directory of runs on a Redis server: lists runs, and finds the one to join or to resume.

Any client of the server can read which runs there are and how far they have come.  Their code and
items are encrypted with keys that are derived from secrets, which are never on the server.
"""

from __future__ import annotations

from dataclasses import dataclass
from time import monotonic, sleep
from typing import Any

from d4py_dynamic.remote.limits import RemoteLimits
from d4py_dynamic.store.redis.connections.address import Address
from d4py_dynamic.store.redis.connections.client import Clients
from d4py_dynamic.store.redis.envelope import Envelope
from d4py_dynamic.store.redis.keys import RUNS, RunKeys
from d4py_dynamic.store.redis.run_info import Resumption, run_key, versions
from d4py_dynamic.store.tasks import InstanceId
from d4py_dynamic.worker.spec import WorkerSpec
from dispel4py.engine.items.codec import ForeignBytesError
from dispel4py.errors import OptionError, ServiceError


@dataclass(frozen=True)
class RunInfo:
    """What can be read of a run without its key.

    Attributes:
        run_id: its name.
        mapping: the mapping.
        host: the driver's host.
        process: number of the driver's process there.
        seconds: time since the run has started.
        workers: number of its workers.
        calls: number of calls of PEs so far.
        unfinished: tasks that are queued or being processed.
        seconds_since_heartbeat: time since the driver's last heartbeat.
        last_heartbeat: time of that heartbeat, in milliseconds of the server's clock.
        driver_id: the driver's id; another driver that takes over has another one.
        is_open: workers can join.
        is_resumable: another driver can take over when this one is dead.
        is_watchable: its events are on the server.
        versions: see `versions`.
    """

    run_id: str
    mapping: str
    host: str
    process: int
    seconds: float
    workers: int
    calls: int
    unfinished: int
    seconds_since_heartbeat: float
    last_heartbeat: int
    driver_id: str
    is_open: bool
    is_resumable: bool
    is_watchable: bool
    versions: str


def list_runs(clients: Clients) -> list[RunInfo]:
    """Return all runs on a server, oldest first."""
    members: Any = clients.of(RUNS).smembers(RUNS)
    found = [read_run(clients, member.decode()) for member in members]
    return sorted((info for info in found if info is not None), key=lambda info: -info.seconds)


def read_run(clients: Clients, run_id: str) -> RunInfo | None:
    """Return what can be read of a run; None if it is over."""
    keys = RunKeys(run_id, ())
    with clients.of(keys.prefix).pipeline(transaction=True) as pipe:
        pipe.hgetall(keys.named("info"))
        pipe.hgetall(keys.named("unfinished"))
        pipe.hvals(keys.named("calls"))
        pipe.hgetall(keys.named("members"))
        pipe.time()
        info, unfinished, calls, members, (seconds, micro) = pipe.execute()
    if not info or not unfinished:
        return None
    now = seconds + micro / 1e6
    driver = members.pop(b"driver", None)
    return RunInfo(
        run_id=run_id,
        mapping=info[b"mapping"].decode(),
        host=info[b"host"].decode(),
        process=int(info[b"process"]),
        seconds=max(0.0, now - float(info[b"started"])),
        workers=len(members),
        calls=sum(map(int, calls)),
        unfinished=sum(int(n) for name, n in unfinished.items() if name.isdigit()),
        seconds_since_heartbeat=0.0 if driver is None else max(0.0, now - int(driver) / 1000),
        last_heartbeat=0 if driver is None else int(driver),
        driver_id=info[b"driver"].decode(),
        is_open=info[b"open"] == b"1",
        is_resumable=info[b"resumable"] == b"1",
        is_watchable=info.get(b"watchable") == b"1",
        versions=info[b"versions"].decode(),
    )


def find_run(clients: Clients, run_id: str | None, secret: str) -> RunInfo | None:
    """Return the run of that name, or the one that a secret opens; None if there is none.

    Raises:
        OptionError: the run cannot be joined, or there are several.
    """
    found = list_runs(clients)
    if run_id is not None:
        return _run_named(run_id, found)
    found = [info for info in found if info.is_open and _is_open_to(clients, info, secret)]
    if len(found) > 1:
        names = ", ".join(info.run_id for info in found)
        raise OptionError(f"several runs are open; choose one by --run: {names}")
    return found[0] if found else None


def _run_named(run_id: str, found: list[RunInfo]) -> RunInfo | None:
    info = next((info for info in found if info.run_id == run_id), None)
    if info is not None and not info.is_open:
        raise OptionError(
            f"run {run_id} was started without a key: give its driver one by --key-file or"
            " $D4PY_KEY"
        )
    return info


def _is_open_to(clients: Clients, info: RunInfo, secret: str) -> bool:
    keys = RunKeys(info.run_id, ())
    place = keys.named("spec")
    sealed: Any = clients.of(keys.prefix).get(place)
    try:
        Envelope(run_key(secret, info.run_id)).unseal(sealed or b"", place)
    except ForeignBytesError:
        return False
    return True


def check_key(clients: Clients, info: RunInfo, secret: str) -> None:
    """Check that a secret is the one of a run.

    Raises:
        OptionError: it is another one.
    """
    if not _is_open_to(clients, info, secret):
        raise _wrong_key(info.run_id)


def wait_for_run(
    clients: Clients,
    run_id: str | None,
    secret: str,
    seconds: float,
    address: Address,
    limits: RemoteLimits,
    purpose: str = "join",
) -> RunInfo:
    """Return the run to join, as soon as there is one.

    Args:
        clients: the clients of the server.
        run_id: its name; None takes the one that the secret opens.
        secret: the secret.
        seconds: how long to wait for it.
        address: the server, for messages.
        limits: how often to look.
        purpose: what is to be done with it, for messages.

    Raises:
        OptionError: the key is that of no open run, or of several.
        ServiceError: there is no run after some seconds.
    """
    until = monotonic() + seconds
    while True:
        info = find_run(clients, run_id, secret)
        if info is not None:
            return info
        if monotonic() >= until:
            if run_id is not None:
                raise ServiceError(f"there is no run {run_id} at {address}; see: dispel4py runs")
            wrong_key = _wrong_key_of_open_runs(clients)
            if wrong_key is not None:
                raise wrong_key
            raise ServiceError(
                f"there is no run to {purpose} at {address}; start one there with --key-file or"
                " $D4PY_KEY, or wait for it with --wait SECONDS"
            )
        sleep(limits.run_poll_seconds)


def _wrong_key_of_open_runs(clients: Clients) -> OptionError | None:
    """Return the error of a key that opens none of the open runs; None if no run is open."""
    names = ", ".join(info.run_id for info in list_runs(clients) if info.is_open)
    return _wrong_key(names) if names else None


def _wrong_key(names: str) -> OptionError:
    return OptionError(f"this is not the key of run {names} (--key-file or $D4PY_KEY)")


def read_resumption(clients: Clients, keys: RunKeys, key: bytes) -> Resumption:
    """Return what a driver has stored for the next one.

    Raises:
        ServiceError: the run has ended.
    """
    sealed: Any = clients.of(keys.prefix).get(keys.named("resumption"))
    if sealed is None:
        raise ServiceError(f"run {keys.run_id} has ended")
    found: Resumption = Envelope(key).open(sealed, keys.named("resumption"))
    return found


def read_spec(clients: Clients, info: RunInfo, key: bytes) -> tuple[RunKeys, WorkerSpec, float]:
    """Return a run's keys, what its workers are started with, and its lease in seconds.

    Raises:
        OptionError: the key is not this run's, or versions differ.
        ServiceError: the run has ended.
    """
    if info.versions != versions():
        raise OptionError(f"the run is on {info.versions}, and this is {versions()}")
    keys = RunKeys(info.run_id, ())
    sealed: Any = clients.of(keys.prefix).get(keys.named("spec"))
    if sealed is None:
        raise ServiceError(f"run {info.run_id} has ended")
    try:
        pins: tuple[InstanceId, ...]
        spec: WorkerSpec
        lease: float
        pins, spec, lease = Envelope(key).open(sealed, keys.named("spec"))
    except ForeignBytesError:
        raise _wrong_key(info.run_id) from None
    return RunKeys(info.run_id, pins), spec, lease
