"""Finding the primary that has a run's keys, where it may be replaced by another server.

Sentinels name the primary that they watch, and each node of a Redis Cluster names the primaries of
all hash slots.  A connection asks when it is made, and again after some seconds of use: a primary
that was replaced may go on answering, though what it is sent from then on is lost.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import suppress
from time import monotonic
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.crc import key_slot
from redis.retry import Retry
from redis.sentinel import Sentinel

from d4py_dynamic.store.redis.connections.address import Address, Place

#: Longest time in seconds to wait for an answer about the primary.
_ANSWER_SECONDS = 1.0
#: Seconds for which an answer about the primary holds.
_CHECK_SECONDS = 1.0


class Primary(ABC):
    """The primary that has a key; several threads may use one object.

    Args:
        key: the key.
    """

    def __init__(self, key: str) -> None:
        #: A key that is never made: to delete it shows whether a server takes writes.
        self.probe = f"{key}:none"
        self._place: Place | None = None
        self._check_at = 0.0

    def find(self) -> Place:
        """Return where the primary is.

        Raises:
            redis.ConnectionError: no server says.
        """
        self._place = self._ask()
        self._check_at = monotonic() + _CHECK_SECONDS
        return self._place

    def is_at(self, place: Place) -> bool:
        """Return whether the primary is there, as far as is known."""
        if monotonic() >= self._check_at:
            self._check_at = monotonic() + _CHECK_SECONDS
            with suppress(redis.RedisError):  # no server says, which is no reason to leave it
                self._place = self._ask()
        return self._place == place

    @abstractmethod
    def _ask(self) -> Place:
        """Ask where the primary is."""


class SentinelPrimary(Primary):
    """A primary that Sentinels watch.

    Args:
        key: a key.
        places: the Sentinels.
        name: the name that they have for the primary.
        settings: settings of connections to them.
    """

    def __init__(
        self, key: str, places: tuple[Place, ...], name: str, settings: dict[str, Any]
    ) -> None:
        super().__init__(key)
        self._name = name
        sentinel: Any = Sentinel  # without types before redis-py 8.2
        self._sentinel = sentinel([*places], sentinel_kwargs=_once(settings))

    def _ask(self) -> Place:
        host, port = self._sentinel.discover_master(self._name)
        return str(host), int(port)


class ClusterPrimary(Primary):
    """The node of a Redis Cluster that has the slot of a key.

    Args:
        key: the key.
        places: nodes to begin with.
        settings: settings of connections to them.
    """

    def __init__(self, key: str, places: tuple[Place, ...], settings: dict[str, Any]) -> None:
        super().__init__(key)
        self._slot = key_slot(key.encode())
        self._places = [*places]
        self._settings = settings

    def _ask(self) -> Place:
        error = redis.ConnectionError(
            "no node of the cluster says which one has the slot of the run"
        )
        for place in self._places:
            try:
                slots = cluster_slots(place, self._settings)
            except redis.RedisError as refusal:
                error = redis.ConnectionError(str(refusal))
                continue
            for (first, last), nodes in slots.items():
                if first <= self._slot <= last:
                    # The nodes of this slot are asked first: they are the first to have changes.
                    self._places = [*dict.fromkeys([*nodes, *self._places])]
                    return nodes[0]
        raise error


def cluster_slots(
    place: Place, settings: dict[str, Any]
) -> dict[tuple[int, int], tuple[Place, ...]]:
    """Return the slots of a Redis Cluster: first and last, with their nodes, the primary first.

    Args:
        place: one of its nodes.
        settings: settings of connections.

    Raises:
        redis.ResponseError: that server is no node of a cluster.
        redis.ConnectionError: it does not answer.
    """
    host, port = place
    with redis.Redis(host=host, port=port, **_once(settings)) as client:
        found: Any = client.execute_command("CLUSTER SLOTS")
    slots = {}
    for first, last, *nodes in found:
        # A node that does not know its own name leaves it out.
        named = [(name.decode() if name else host, int(number)) for name, number, *_ in nodes]
        slots[first, last] = tuple(named)
    return slots


def primary_of(address: Address, key: str) -> Primary | None:
    """Return how to find the primary that has a key; None where it is always the same server."""
    if address.sentinel is not None:
        return SentinelPrimary(key, address.places, address.sentinel, address.sentinel_settings())
    if address.nodes:
        return ClusterPrimary(key, address.nodes, address.settings())
    return None


def _once(settings: dict[str, Any]) -> dict[str, Any]:
    """Return settings of a client that tries once, for a short time."""
    settings = {**settings}
    kind = settings.pop("connection_class", None)
    if kind is not None:
        settings["ssl"] = True  # the only other class that has a host
    for name in ("host", "port", "db"):
        settings.pop(name, None)
    for name in ("socket_timeout", "socket_connect_timeout"):
        settings[name] = min(_ANSWER_SECONDS, settings.get(name) or _ANSWER_SECONDS)
    return {**settings, "retry": Retry(NoBackoff(), 0)}
