"""Events to and from the driver of a run, and the deletion of a run."""

from __future__ import annotations

from typing import Any

import redis

from d4py_dynamic.store.protocols import Notice
from d4py_dynamic.store.redis.connections.address import Address
from d4py_dynamic.store.redis.connections.client import connect
from d4py_dynamic.store.redis.envelope import Envelope
from d4py_dynamic.store.redis.keys import RUNS, RunKeys
from d4py_dynamic.store.redis.scripts import IdempotentScripts, ScriptRequest, register_script
from dispel4py.errors import ItemError


def send_event(scripts: IdempotentScripts, keys: RunKeys, envelope: Envelope, event: Any) -> None:
    """Send an event to the driver of a run."""
    try:
        sealed = envelope.wrap(event, keys.out)
    except ItemError:
        sealed = envelope.wrap(Notice(repr(event)), keys.out)
    request = ScriptRequest()
    request.set("event", request.value(sealed))
    scripts("send_event", request)


def delete_run(client: redis.Redis, address: Address, keys: RunKeys) -> None:
    """Delete all keys of a run, in one step, so that no process is killed in between.

    In a Redis Cluster another node may have the list of runs, which the run leaves last then.

    Args:
        client: of the server that has the run's keys.
        address: the server.
        keys: the run's keys.
    """
    delete = register_script(client, "delete_run")
    delete(keys=[keys.prefix], args=["" if address.nodes else RUNS, keys.run_id, *keys.all(0)])
    if address.nodes:
        with connect(address) as directory:
            directory.srem(RUNS, keys.run_id)
