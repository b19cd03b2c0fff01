"""The events of a run on its Redis server, for watchers elsewhere.

They lie in a stream of limited size, whose oldest entries are deleted.  The event that starts the
run has a key of its own, so that a page that is opened late has it; counts in reports are
cumulative.
"""

from __future__ import annotations

import secrets
import threading
import zlib
from collections import deque
from collections.abc import Iterable
from time import monotonic, sleep
from typing import Any

import redis

from d4py_dynamic.store.limits import PublishLimits
from d4py_dynamic.store.redis.connections.address import Address
from d4py_dynamic.store.redis.connections.client import connect
from d4py_dynamic.store.redis.connections.errors import service_errors
from d4py_dynamic.store.redis.envelope import Envelope
from d4py_dynamic.store.redis.keys import RunKeys
from d4py_dynamic.store.redis.scripts import IdempotentScripts, ScriptRequest
from dispel4py.errors import ServiceError
from dispel4py.events import Event, RunStarted, from_json, to_json
from dispel4py.logs import get_logger

_LOG = get_logger("redis")


class EventPublisher:
    """An observer that puts the events of a run on its server, from a thread of its own.

    Args:
        address: the server.
        keys: the run's keys.
        secret: the run's key.
        driver_id: id of the driver; nothing is kept once another one has taken over.
        limits: how often, and how much is kept.
    """

    def __init__(
        self,
        address: Address,
        keys: RunKeys,
        secret: bytes,
        driver_id: str,
        limits: PublishLimits = PublishLimits(),
    ) -> None:
        self._address = address
        self._keys = keys
        self._envelope = Envelope(secret)
        self._driver_id = driver_id
        self._limits = limits
        self._sizes: deque[int] = deque()
        self._changed = threading.Condition()
        self._waiting: list[Event] = []
        self._is_closed = self._has_failed = False
        self._thread = threading.Thread(target=self._run, name="d4py-publish", daemon=True)

    def on_event(self, event: Event) -> None:
        """Take an event of the run."""
        with self._changed:
            if self._has_failed:
                return
            self._waiting.append(event)
            self._changed.notify()
        if not self._thread.ident:
            self._thread.start()

    def close(self) -> None:
        """Publish what still waits, and wait a moment for watchers."""
        with self._changed:
            self._is_closed = True
            self._changed.notify()
        if self._thread.ident:
            self._thread.join(2 * self._limits.end_seconds)

    def _run(self) -> None:
        try:
            with (
                service_errors(self._address),
                connect(self._address, key=self._keys.prefix) as client,
            ):
                caller = f"publisher-{secrets.token_hex(8)}"
                scripts = IdempotentScripts(client, self._keys.prefix, caller)
                while events := self._take():
                    scripts("publish", self._request(events))
                self._wait_for_readers(client)
        except ServiceError as error:
            with self._changed:
                self._has_failed = True
                self._waiting.clear()
            _LOG.warning("the events of this run are no longer kept on the server: %s", error)

    def _take(self) -> list[Event]:
        """Wait for events, for others that come soon after, and return all; none at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._is_closed)
            self._changed.wait_for(lambda: self._is_closed, self._limits.seconds)
            events, self._waiting = self._waiting, []
            return events

    def _request(self, events: list[Event]) -> ScriptRequest:
        """Return the request of `publish.lua`."""
        sealed = seal_events(self._envelope, events, self._keys.named("events"))
        self._sizes.append(len(sealed))
        while len(self._sizes) > 1 and sum(self._sizes) > self._limits.kept_bytes:
            self._sizes.popleft()
        request = ScriptRequest(driver_id=self._driver_id, kept=len(self._sizes))
        request.set("events", request.value(sealed))
        first = [event for event in events if isinstance(event, RunStarted)]
        if first:
            place = self._keys.named("began")
            request.set("began", request.value(seal_events(self._envelope, first, place)))
        return request

    def _wait_for_readers(self, client: redis.Redis) -> None:
        """Wait until all groups of readers have the last entry, so that the run can be deleted."""
        until = monotonic() + self._limits.end_seconds
        place = self._keys.named("events")
        try:
            last: Any = client.xrevrange(place, count=1)
            while last and monotonic() < until:
                groups: Any = client.xinfo_groups(place)
                if all(group["last-delivered-id"] == last[0][0] for group in groups):
                    return
                sleep(self._limits.poll_seconds)
        except redis.ResponseError:  # not every user may ask for it
            return


def seal_events(envelope: Envelope, events: Iterable[Event], place: str) -> bytes:
    """Return events as compressed lines of JSON, sealed for a place."""
    lines = "\n".join(map(to_json, events))
    return envelope.seal(zlib.compress(lines.encode(), 1), place)


def open_events(envelope: Envelope, sealed: bytes, place: str) -> list[Event]:
    """Return the events of `seal_events`.

    Raises:
        ForeignBytesError: they were not sealed by this run, for this place.
    """
    lines = zlib.decompress(envelope.unseal(sealed, place)).decode().split("\n")
    return [from_json(line) for line in lines if line]
