"""The room in the queue of a root that is fed: the scripts wake the feeder when there is some."""

from __future__ import annotations

from typing import Any

import redis

from d4py_dynamic.store.redis.connections.blocking_command import BlockingCommand
from d4py_dynamic.store.redis.keys import GROUP, RunKeys
from d4py_dynamic.store.redis.scripts import IdempotentScripts, ScriptRequest


class QueueRoom:
    """Waits for room in the queue of one root.

    Args:
        client: a client.
        keys: the run's keys.
        block_seconds: longest wait of one command; after it the length of the queue is looked at,
            in case that the server was restarted meanwhile.
    """

    def __init__(self, client: redis.Redis, keys: RunKeys, block_seconds: float) -> None:
        self._redis = client
        self._keys = keys
        self._block_seconds = block_seconds
        self._pop = BlockingCommand(client)
        self._root = self._limit = 0

    def is_full_after(
        self, scripts: IdempotentScripts, request: ScriptRequest, root: int, limit: int
    ) -> bool:
        """Call `put.lua` with calls of a root; return whether its queue is full now.

        Args:
            scripts: calls the script.
            request: the request.
            root: number of the PE.
            limit: see `RunStore.feed`.
        """
        self._root, self._limit = root, limit
        request.set("feeding", (root, self._stream, limit))
        return bool(scripts("put", request))

    def wait(self, seconds: float) -> bool:
        """Return whether there is room; wait so long for it at most."""
        pop = self._pop
        if not pop.is_sent:
            block = self._block_seconds
            pop.send([("BLPOP", self._keys.room(self._root), block)], block)
        if not pop.wait(seconds):
            return False
        found = pop.replies()
        if found is None or found == [None]:
            return self._has_room()
        if isinstance(found[0], redis.RedisError):
            raise found[0]
        return True

    @property
    def _stream(self) -> str:
        is_pinned = any(pe == self._root for pe, _ in self._keys.pins)
        return self._keys.pin(self._root, 0) if is_pinned else self._keys.shared

    def _has_room(self) -> bool:
        stream = self._stream
        queued = int(self._redis.xlen(stream))
        if stream == self._keys.shared:
            pending: Any = self._redis.xpending(stream, GROUP)
            queued -= pending["pending"]
        return queued < self._limit
