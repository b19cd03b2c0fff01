"""`WatchedRun`: reads the events of a run that its driver keeps on the server."""

from __future__ import annotations

import argparse
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import redis

from d4py_dynamic.remote.limits import RemoteLimits
from d4py_dynamic.remote.run_directory import RunInfo, check_key, read_run, wait_for_run
from d4py_dynamic.store.redis.connections.address import Address
from d4py_dynamic.store.redis.connections.client import Clients
from d4py_dynamic.store.redis.connections.errors import service_errors
from d4py_dynamic.store.redis.connections.server import known_server
from d4py_dynamic.store.redis.envelope import Envelope
from d4py_dynamic.store.redis.keys import FIELD, RunKeys
from d4py_dynamic.store.redis.published_events import open_events
from d4py_dynamic.store.redis.run_info import run_key
from d4py_dynamic.store.redis.streams import entries_by_stream
from dispel4py.engine.items.codec import ForeignBytesError
from dispel4py.errors import OptionError
from dispel4py.events import Event, Message, RunEnded
from dispel4py.processes.run_secret import joining_secret

_ENTRIES_AT_ONCE = 64


class WatchedRun:
    """A run that another process drives.

    Args:
        clients: the clients of the server.
        address: the server.
        info: what can be read of the run without its key.
        key: the run's key.
        limits: intervals.
    """

    def __init__(
        self,
        clients: Clients,
        address: Address,
        info: RunInfo,
        key: bytes,
        limits: RemoteLimits = RemoteLimits(),
    ) -> None:
        keys = RunKeys(info.run_id, ())
        self._clients = clients
        self._address = address
        self._info = info
        self._client = clients.of(keys.prefix)
        self._began, self._events = keys.named("began"), keys.named("events")
        self._envelope = Envelope(key)
        self._limits = limits
        self._group = f"page-{secrets.token_hex(4)}"
        self._last: Any = "0"
        self._seconds = 0.0
        self._is_silent = False

    def events(self, stopped: threading.Event) -> Iterator[Event]:
        """Yield the events of the run, those so far and others as they come.

        Raises:
            ServiceError: the server does not answer.
        """
        with service_errors(self._address):
            if not self._wait_for_begin(stopped):
                return
            self._note_read()
            yield from self._begin()
            while not stopped.is_set():
                found = self._read()
                for event in found:
                    self._seconds = event.time
                    yield event
                    if isinstance(event, RunEnded):
                        return
                if not found:
                    info = read_run(self._clients, self._info.run_id)
                    if info is None:
                        return
                    yield from self._silence(info)

    def close(self) -> None:
        """Let the driver no longer wait for this reader."""
        with suppress(redis.RedisError):  # the run is over
            self._client.xgroup_destroy(self._events, self._group)

    def _wait_for_begin(self, stopped: threading.Event) -> bool:
        """Wait until the first events are there; return False if the run is over before."""
        while not self._client.exists(self._began):
            if read_run(self._clients, self._info.run_id) is None:
                return False
            if stopped.wait(self._limits.run_poll_seconds):
                return False
        return True

    def _begin(self) -> list[Event]:
        sealed: Any = self._client.get(self._began)
        return [] if sealed is None else self._open(sealed, self._began)  # the run may be over

    def _read(self) -> list[Event]:
        """Return the next events; wait for some, but not long."""
        try:
            replies = self._client.xread(
                {self._events: self._last},
                count=_ENTRIES_AT_ONCE,
                block=int(self._limits.watch_seconds * 1000),
            )
        except redis.ResponseError as error:  # a primary that has become a replica ends reads
            if "UNBLOCKED" not in str(error):
                raise
            return []
        found: list[Event] = []
        for _, entries in entries_by_stream(replies):
            for self._last, fields in entries:
                found += self._open(fields.get(FIELD, b""), self._events)
        if found:
            self._note_read()
        return found

    def _note_read(self) -> None:
        """Let the driver see what was read; it may wait for that before it deletes the run."""
        try:
            self._client.xgroup_setid(self._events, self._group, self._last)
        except redis.ResponseError:  # no such group: at first, and after a fail-over
            with suppress(redis.ResponseError):  # the run is over, or the group is there
                self._client.xgroup_create(self._events, self._group, id=self._last)

    def _open(self, sealed: bytes, place: str) -> list[Event]:
        try:
            return open_events(self._envelope, sealed, place)
        except ForeignBytesError as error:
            return [Message(self._seconds, "WARNING", f"dropped {error}")]

    def _silence(self, info: RunInfo) -> Iterator[Event]:
        """Yield a warning when the driver begins to be silent."""
        age = info.seconds_since_heartbeat
        was_silent, self._is_silent = self._is_silent, age > self._limits.dead_seconds
        if self._is_silent and not was_silent:
            text = f"the driver ({info.host}, process {info.process}) has sent no heartbeat for"
            yield Message(self._seconds, "WARNING", f"{text} {age:.0f} s")


@contextmanager
def opened_run(options: argparse.Namespace) -> Iterator[WatchedRun]:
    """Find the run that options name, as a context that holds the connections to its server.

    Raises:
        OptionError: the key is not that of the run, or the run keeps no events.
        ServiceError: there is no run, or the server does not answer.
    """
    secret = joining_secret(options.key_file)
    address = known_server(vars(options))
    limits = RemoteLimits()
    with service_errors(address), Clients(address) as clients:
        info = wait_for_run(
            clients, options.run, secret, options.wait, address, limits, purpose="show"
        )
        check_key(clients, info, secret)
        if not info.is_watchable:
            raise OptionError(
                f"run {info.run_id} keeps no events on the server: it was started without"
                " --watchable"
            )
        run = WatchedRun(clients, address, info, run_key(secret, info.run_id), limits)
        try:
            yield run
        finally:
            run.close()
