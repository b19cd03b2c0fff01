"""Events to and from the driver of a run, and the deletion of a run."""

from __future__ import annotations

from typing import Any

import redis

from d4py_dynamic.store.protocols import Notice
from d4py_dynamic.store.redis.address import Address
from d4py_dynamic.store.redis.client import connect
from d4py_dynamic.store.redis.envelope import Envelope
from d4py_dynamic.store.redis.keys import JOINED, RUNS, RunKeys
from d4py_dynamic.store.redis.scripts import IdempotentScripts, ScriptRequest
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
    """Delete all keys of a run.

    It leaves the list of runs in the transaction that makes it unusable, so that no process is
    killed in between; in a Redis Cluster another node may have that list, which is the last then.

    Args:
        client: of the server that has the run's keys.
        address: the server.
        keys: the run's keys.
    """
    with client.pipeline(transaction=True) as pipe:
        pipe.hget(keys.named("unfinished"), JOINED)
        pipe.hkeys(keys.named("members"))  # the counts may have been deleted
        pipe.hkeys(keys.named("feeding"))
        pipe.delete(keys.named("unfinished"))  # without it no script makes another key
        if not address.nodes:
            pipe.srem(RUNS, keys.run_id)
        joined, members, fed, *_ = pipe.execute()
    ranks = [int(rank) for rank in members if rank.isdigit()]
    rooms = [keys.room(root.decode()) for root in fed]
    client.unlink(*keys.all(max(int(joined or 0), *(rank + 1 for rank in ranks), 0)), *rooms)
    if address.nodes:
        with connect(address) as directory:
            directory.srem(RUNS, keys.run_id)
