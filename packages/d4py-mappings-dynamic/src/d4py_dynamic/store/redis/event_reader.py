"""The driver's reading of events, and the archive of results for the next driver."""

from __future__ import annotations

from typing import Any

import redis

from d4py_dynamic.store.limits import StoreLimits
from d4py_dynamic.store.protocols import Event, Notice, Quiescent, Results
from d4py_dynamic.store.redis.blocking_command import BlockingCommand, Command
from d4py_dynamic.store.redis.envelope import Envelope
from d4py_dynamic.store.redis.keys import FIELD, QUIESCENT_FIELD, RunKeys
from d4py_dynamic.store.redis.scripts import register_script
from d4py_dynamic.store.redis.streams import at_most, entries_by_stream
from dispel4py.engine.codec import ForeignBytesError

_EVENTS_AT_ONCE = 64
#: Longest wait of one read on the server, in seconds.
_BLOCK_SECONDS = 10.0


class EventReader:
    """Reads a run's events.

    Args:
        client: the driver's client.
        keys: the run's keys.
        envelope: opens what is sealed.
        driver_id: the driver's id.
        archives: whether results stay on the server to the end of the run, for the next driver.
        limits: how much to read at once.

    Attributes:
        results_seen: number of batches of results that were read.
        reads_archive: whether results of the previous driver are still to be read.
    """

    def __init__(
        self,
        client: redis.Redis,
        keys: RunKeys,
        envelope: Envelope,
        driver_id: str,
        archives: bool,
        limits: StoreLimits,
    ) -> None:
        self._redis = client
        self._keys = keys
        self._envelope = envelope
        self._driver_id = driver_id
        self._archives = archives
        self._read_bytes = limits.read_bytes
        self._archive = register_script(client, "archive_results")
        self._blocking = BlockingCommand(client)
        self._last_archived: bytes | None = None
        self._last_event = b"0"
        self._handled: list[bytes] = []
        self._event_size = 0
        self.results_seen = 0

    @property
    def reads_archive(self) -> bool:
        return self._last_archived is not None

    def read_archive_first(self) -> None:
        """Begin with the results that the previous driver has archived."""
        self._last_archived = b"0"

    def read(self, seconds: float) -> list[Event]:
        """Return the next events; wait up to `seconds` for some."""
        if self._last_archived is not None and (
            archived := self._read_archive(self._last_archived)
        ):
            return archived
        events: dict[bytes, Event] = {}
        for _, entries in entries_by_stream(self._entries(seconds)):
            for entry_id, fields in entries:
                self._event_size = len(fields.get(FIELD, b""))
                events[entry_id] = self._event(fields)
        results = [i for i, event in events.items() if isinstance(event, Results)]
        if self._archives and results:
            self._archive(keys=[self._keys.prefix], args=[self._driver_id, *results])
        self.results_seen += len(results)
        if events:
            self._last_event = [*events][-1]
            self._handled += events
            if seconds <= 0:
                self._redis.xdel(self._keys.out, *self._handled)
                self._handled = []
            else:  # more come while these are handled
                self._read_on()
        return [*events.values()]

    def _entries(self, seconds: float) -> Any:
        """Return a reply of XREAD; wait up to `seconds` for one that holds something.

        The read may be outstanding from one call to the next.  Without time to wait it is given up
        for one that the server answers at once.
        """
        blocking = self._blocking
        if seconds <= 0:
            blocking.drop()
            return self._redis.xread({self._keys.out: self._last_event}, count=self._count())
        if not blocking.is_sent:
            self._read_on()
        if not blocking.wait(seconds):
            if not blocking.is_accepted:  # nothing else may be sent for a second
                self._redis.ping()
            return None
        replies = blocking.replies()
        if replies is None:
            return None
        for reply in replies:
            if isinstance(reply, redis.RedisError):
                raise reply
        self._handled = []
        return replies[-1]

    def _read_on(self) -> None:
        """Delete the events that were read, and send the next read, in one packet."""
        out = self._keys.out
        block = "COUNT", self._count(), "BLOCK", int(_BLOCK_SECONDS * 1000)
        read: Command = ("XREAD", *block, "STREAMS", out, self._last_event)
        delete: list[Command] = [("XDEL", out, *self._handled)] if self._handled else []
        self._blocking.send([*delete, read], _BLOCK_SECONDS, in_front=len(delete))

    def _read_archive(self, last: bytes) -> list[Event]:
        """Return the next archived results."""
        archive = self._keys.named("archive")
        found: Any = self._redis.xrange(archive, b"(" + last, count=self._count())
        self._last_archived = found[-1][0] if found else None
        self._event_size = max((len(fields.get(FIELD, b"")) for _, fields in found), default=0)
        self.results_seen += len(found)
        return [self._event(fields) for _, fields in found]

    def _count(self) -> int:
        return at_most(_EVENTS_AT_ONCE, self._event_size, self._read_bytes)

    def _event(self, fields: dict[bytes, bytes]) -> Event:
        if fields.get(QUIESCENT_FIELD, b"").isdigit():
            return Quiescent(int(fields[QUIESCENT_FIELD]))
        try:
            event: Event = self._envelope.unwrap(fields, self._keys.out)
        except ForeignBytesError as error:
            return Notice(f"dropped {error}")
        return event
