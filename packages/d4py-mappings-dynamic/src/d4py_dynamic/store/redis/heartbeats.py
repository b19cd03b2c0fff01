"""Heartbeats of a run's workers, and the connections that they come by.

A process that is killed leaves a connection that its system closes, and the server sees that at
once.  A host that vanishes leaves one that stays open: then only the lease ends its workers.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import inf
from time import monotonic
from typing import Any

import redis

from d4py_dynamic.store.redis.connections.client import broken_connections
from d4py_dynamic.store.redis.keys import RunKeys
from d4py_dynamic.store.redis.scripts import register_script

#: The hash of the connections of workers, by rank.
CONNECTIONS = "connections"


class Heartbeats:
    """Reads the heartbeats of all workers, and sends those of the driver.

    Args:
        client: a client.
        keys: the run's keys.
        driver_id: id of the driver; empty for a client that only sends those of workers.
        late_seconds: time without a heartbeat after which a worker's connection is looked at:
            longer than a worker takes to connect again.
    """

    def __init__(
        self, client: redis.Redis, keys: RunKeys, driver_id: str, late_seconds: float
    ) -> None:
        self._redis = client
        self._keys = keys
        self._driver_id = driver_id
        self._late_seconds = late_seconds
        self._send = register_script(client, "heartbeat")
        self._broken = 0
        self._connected_at = monotonic()

    def send(self, ranks: Iterable[int]) -> None:
        """Send heartbeats of workers."""
        for rank in ranks:
            self._send(keys=[self._keys.prefix], args=[rank, ""])

    def exchange(self) -> dict[int, float]:
        """Send the driver's heartbeat; return the age of each worker's last one in seconds.

        It is infinite where the server has seen the worker's connection end.
        """
        flat = self._send(keys=[self._keys.prefix], args=["driver", self._driver_id]) or []
        members = dict(zip(flat[::2], map(int, flat[1::2]), strict=True))
        now = members.pop(b"driver", 0)
        ages = {int(rank): (now - seen) / 1000 for rank, seen in members.items()}
        late = [rank for rank, age in ages.items() if age > self._late_seconds]
        if self._is_settled() and late:
            ages |= dict.fromkeys(self._disconnected(late), inf)
        return ages

    def _is_settled(self) -> bool:
        """Return whether the server is there for so long that all workers may have connected."""
        broken = broken_connections(self._redis)
        if broken != self._broken:
            self._broken, self._connected_at = broken, monotonic()
        return monotonic() - self._connected_at > self._late_seconds

    def _disconnected(self, ranks: Sequence[int]) -> list[int]:
        """Return those of some workers whose connections have ended."""
        found: Any = self._redis.hmget(self._keys.named(CONNECTIONS), [*map(str, ranks)])
        known = {rank: int(number) for rank, number in zip(ranks, found, strict=True) if number}
        if not known:
            return []
        try:
            listed: Any = self._redis.client_list(client_id=[*map(str, known.values())])
        except redis.ResponseError:  # not every user or server has it
            return []
        there = {int(client["id"]) for client in listed}
        return [rank for rank, number in known.items() if number not in there]
