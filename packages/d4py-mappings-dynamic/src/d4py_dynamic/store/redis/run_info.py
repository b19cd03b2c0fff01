"""What the driver of a run publishes on the server about the run.

Everybody with access to the server can read that there is a run and how far it has come.  Its code
and its items are encrypted with a key that is derived from the run's secret, which is never on the
server.
"""

from __future__ import annotations

import os
import socket
from hashlib import blake2b
from time import time
from typing import Any, NamedTuple

import redis

from d4py_dynamic.store.entries import TooLargeError, check_size
from d4py_dynamic.store.redis.envelope import Envelope
from d4py_dynamic.store.redis.keys import RunKeys
from dispel4py.errors import OptionError
from dispel4py.processes.run_secret import KeyFile
from dispel4py.processes.versions import shared_versions


class Resumption(NamedTuple):
    """What another driver needs, beside the workers' specification, to resume a run.

    Attributes:
        mapping: name of the mapping.
        processes: number of worker processes; see `dispel4py.RunOptions`.
        extra: the mapping's own options.
        feeding: roots that were fed from iterables.
        key_file: the file with the key that the run has written, and that goes with it.
    """

    mapping: str
    processes: int | None
    extra: dict[str, Any]
    feeding: tuple[int, ...] = ()
    key_file: KeyFile | None = None


def run_key(secret: str, run_id: str) -> bytes:
    """Return the key of a run, derived from a secret that several runs may share."""
    return blake2b(secret.encode(), digest_size=32, person=b"d4py", key=run_id.encode()).digest()


def offer(
    client: redis.Redis,
    keys: RunKeys,
    key: bytes,
    spec: object,
    lease: float,
    largest: int | None = None,
) -> None:
    """Let workers that know the key join a run.

    Args:
        client: a client.
        keys: the run's keys.
        key: the run's key.
        spec: what workers are started with; any object that can be pickled.
        lease: seconds without a heartbeat after which they count the driver as dead.
        largest: how many bytes a value may have on the server.

    Raises:
        OptionError: the workflow is larger than that.
    """
    sealed = Envelope(key).wrap((keys.pins, spec, lease), keys.named("spec"))
    try:
        check_size(len(sealed), largest)
    except TooLargeError as error:
        raise OptionError(
            f"remote workers cannot be sent the workflow with the data of its PEs: {error}"
        ) from None
    client.set(keys.named("spec"), sealed)
    client.hset(keys.named("info"), "open", 1)


def announce(client: redis.Redis, keys: RunKeys, mapping: str, driver_id: str) -> None:
    """Publish what can be read of a run without its key."""
    info: dict[Any, Any] = {
        "mapping": mapping,
        "started": time(),
        "driver": driver_id,
        **driver_info(),
        "versions": versions(),
        "open": 0,
        "resumable": 0,
        "watchable": 0,
    }
    client.hset(keys.named("info"), mapping=info)


def driver_info() -> dict[str, Any]:
    """Return host and process of this process, the driver."""
    return {"host": socket.gethostname(), "process": os.getpid()}


def versions() -> str:
    """Return the versions that a remote worker must have too, since it unpickles the plan."""
    return shared_versions("d4py-mappings-dynamic")
