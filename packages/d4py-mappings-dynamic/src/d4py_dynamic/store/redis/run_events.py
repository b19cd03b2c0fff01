"""Events to and from the driver of a run, and the deletion of a run."""

from __future__ import annotations

from typing import Any

from d4py_dynamic.store.protocols import Notice
from d4py_dynamic.store.redis.address import Address
from d4py_dynamic.store.redis.client import ANSWER_SECONDS, connect
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


def delete_run(address: Address, keys: RunKeys, seconds: float = ANSWER_SECONDS) -> None:
    """Delete all keys of a run.

    Args:
        address: the server.
        keys: the run's keys.
        seconds: timeout of an answer.
    """
    with connect(address, seconds, keys.prefix) as client:
        with client.pipeline(transaction=True) as pipe:
            pipe.hget(keys.named("unfinished"), JOINED)
            pipe.hkeys(keys.named("members"))  # the counts may have been deleted
            pipe.hkeys(keys.named("feeding"))
            pipe.delete(keys.named("unfinished"))  # without it no script makes another key
            joined, members, fed, _ = pipe.execute()
        ranks = [int(rank) for rank in members if rank.isdigit()]
        rooms = [keys.room(root.decode()) for root in fed]
        client.unlink(*keys.all(max(int(joined or 0), *(rank + 1 for rank in ranks), 0)), *rooms)
    with connect(address, seconds) as directory:
        directory.srem(RUNS, keys.run_id)
