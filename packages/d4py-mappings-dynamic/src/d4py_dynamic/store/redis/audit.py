"""Comparison of a run's counts with what is stored, which detects that a server has lost keys."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import NamedTuple

import redis

from d4py_dynamic.store.redis.connections.address import Address
from d4py_dynamic.store.redis.connections.errors import forgotten, or_forgotten
from d4py_dynamic.store.redis.event_reader import EventReader
from d4py_dynamic.store.redis.keys import INTACT, JOINED, RunKeys
from d4py_dynamic.store.redis.scripts import register_script
from dispel4py.errors import ServiceError


class Counts(NamedTuple):
    """The counts of a run.

    Attributes:
        unfinished: number of unfinished tasks of each PE.
        missing_results: batches of results that were committed and not read.
    """

    unfinished: dict[int, int]
    missing_results: int


class Audit:
    """Reads the counts of a run, and checks them.

    Args:
        client: the driver's client.
        keys: the run's keys.
        address: the server, for messages.
        events: reads the driver's events.
        driver_id: the driver's id.
    """

    def __init__(
        self,
        client: redis.Redis,
        keys: RunKeys,
        address: Address,
        events: EventReader,
        driver_id: str,
    ) -> None:
        self._keys = keys
        self._address = address
        self._events = events
        self._driver_id = driver_id
        self._audit = register_script(client, "audit")

    def counts(self, watched: Iterable[int]) -> Counts:
        """Return the counts; from now on a watched PE makes `Quiescent` events.

        Args:
            watched: numbers of PEs.

        Raises:
            ServiceError: the server has lost tasks, results or counts.
        """
        arguments = [json.dumps([*watched]), self._driver_id, *self._keys.streams(0)]
        found = self._audit(keys=[self._keys.prefix], args=arguments)
        tasks, events, replicas, flat, acknowledged = found
        counts = dict(zip(map(bytes.decode, flat[::2]), map(int, flat[1::2]), strict=True))
        if counts.pop(INTACT, None) is None:
            raise self._lost("the counts of this run")
        counts.pop(JOINED)
        missing_results = counts.pop("results") - self._events.results_seen
        missing_replicas = counts.pop("replicas") - replicas
        missing_tasks = sum(counts.values()) - tasks
        if missing_tasks > 0:
            raise self._lost(f"{missing_tasks} tasks")
        if not self._events.reads_archive and missing_results > events:
            raise self._lost(f"{missing_results - events} batches of results")
        if missing_replicas > 0:
            raise self._lost(f"the names of {missing_replicas} replicas")
        if missing_results < 0 or not self._events.has_acknowledged(acknowledged):
            raise ServiceError(
                f"the Redis server at {self._address} {forgotten(self._address)}:"
                " results are missing that it had handed out"
            )
        return Counts({int(pe): count for pe, count in counts.items()}, missing_results)

    def _lost(self, what: str) -> ServiceError:
        explanation = (
            f"has lost {what}: keys were deleted or evicted; run with a maxmemory-policy of"
            " noeviction"
        )
        return ServiceError(
            f"the Redis server at {self._address} {or_forgotten(explanation, self._address)}"
        )
