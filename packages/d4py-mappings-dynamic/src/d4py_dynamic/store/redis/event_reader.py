"""The driver's reading of events, and the archive of results for the next driver.

The driver acknowledges what it has read in front of its next read, in the same packet.  A server
that does not have those events, or has those again that were acknowledged before, has forgotten
what it had confirmed, or what another server had whose place it has taken: then the run fails.
"""

from __future__ import annotations

from typing import Any

import redis

from d4py_dynamic.store.limits import StoreLimits
from d4py_dynamic.store.protocols import Event, Notice, Quiescent, Results
from d4py_dynamic.store.redis.connections.blocking_command import BlockingCommand, Command
from d4py_dynamic.store.redis.envelope import Envelope
from d4py_dynamic.store.redis.keys import FIELD, QUIESCENT_FIELD, RunKeys
from d4py_dynamic.store.redis.scripts import register_script
from d4py_dynamic.store.redis.streams import at_most, entries_by_stream
from dispel4py.engine.items.codec import ForeignBytesError

_EVENTS_AT_ONCE = 64


class EventReader:
    """Reads a run's events.

    Args:
        client: the driver's client.
        keys: the run's keys.
        envelope: opens what is sealed.
        driver_id: the driver's id.
        archives: whether results stay on the server to the end of the run, for the next driver.
        limits: how much to read at once.
        block_seconds: longest wait of one read on the server.

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
        block_seconds: float,
    ) -> None:
        self._redis = client
        self._keys = keys
        self._envelope = envelope
        self._driver_id = driver_id
        self._archives = archives
        self._read_bytes = limits.read_bytes
        self._block_seconds = block_seconds
        self._acknowledge = register_script(client, "acknowledge")
        self._blocking = BlockingCommand(client)
        self._last_archived: bytes | None = None
        self._acknowledged = b""
        self._to_archive: list[bytes] = []
        self._to_delete: list[bytes] = []
        self._last_event = b""
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
        if events:
            self._received(events)
            if seconds > 0:  # more come while these are handled
                self._read_on()
            else:
                self.confirm()
        return [*events.values()]

    def confirm(self) -> None:
        """Check that the server has all events that were read, and delete them.

        Raises:
            redis.RedisError: it does not have them.
        """
        # A read that is outstanding has acknowledged the same events; that is repeated.
        self._acknowledge(keys=[self._keys.prefix], args=self._acknowledgement())
        self._on_acknowledged()

    def has_acknowledged(self, event: bytes) -> bool:
        """Return whether this is the last event that the server may have as acknowledged."""
        return event in (self._acknowledged, self._last_event or self._acknowledged)

    def _received(self, events: dict[bytes, Event]) -> None:
        results = [i for i, event in events.items() if isinstance(event, Results)]
        self.results_seen += len(results)
        self._to_archive = results if self._archives else []
        self._to_delete = [i for i in events if i not in self._to_archive]
        self._last_event = [*events][-1]

    def _acknowledgement(self) -> list[Any]:
        """Return the arguments of `acknowledge.lua`."""
        positions = self._driver_id, self._acknowledged, self._last_event
        return [*positions, len(self._to_archive), *self._to_archive, *self._to_delete]

    def _on_acknowledged(self) -> None:
        if self._last_event:
            self._acknowledged, self._last_event = self._last_event, b""
            self._to_archive, self._to_delete = [], []

    def _entries(self, seconds: float) -> Any:
        """Return a reply of XREAD; wait up to `seconds` for one that holds something.

        The read may be outstanding from one call to the next.  Without time to wait it is given up
        for one that the server answers at once.
        """
        blocking = self._blocking
        if seconds <= 0:
            blocking.drop()
            return self._entries_at_once()
        if not blocking.is_sent:
            self._read_on()
        try:
            if not blocking.wait(seconds):
                if not blocking.is_accepted:  # nothing else may be sent for a second
                    self._redis.ping()
                return None
            replies = blocking.replies()
        except redis.exceptions.NoScriptError:  # the server was restarted
            self._load_script()
            return None
        return self._found(replies)

    def _entries_at_once(self) -> Any:
        replies = None
        while replies is None:  # the connection has broken
            self._send_read(0.0)
            try:
                replies = self._blocking.replies()
            except redis.exceptions.NoScriptError:
                self._load_script()
        return self._found(replies)

    def _load_script(self) -> None:
        self._redis.script_load(self._acknowledge.script)

    def _found(self, replies: list[Any] | None) -> Any:
        if replies is None:
            return None
        self._on_acknowledged()
        if isinstance(replies[-1], redis.RedisError):
            raise replies[-1]
        return replies[-1]

    def _read_on(self) -> None:
        self._send_read(self._block_seconds)

    def _send_read(self, seconds: float) -> None:
        """Acknowledge the events that were read, and send the next read, in one packet."""
        block = ("BLOCK", int(seconds * 1000)) if seconds else ()
        # From the beginning: what was read is deleted in front of it.
        read: Command = ("XREAD", "COUNT", self._count(), *block, "STREAMS", self._keys.out, "0")
        script = "EVALSHA", self._acknowledge.sha, 1, self._keys.prefix
        self._blocking.send([(*script, *self._acknowledgement()), read], seconds, in_front=1)

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
