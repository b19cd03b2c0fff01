"""The control channels of an MPI run: one TCP connection between the driver and each rank.

The driver is no MPI rank.  Control channels carry specifications, inputs, results and errors, and
show by their end that a rank has ended.  Each message is authenticated with the run's key before
it is unpickled.  The first rank finds the key in its environment; the others get it through MPI.
"""

from __future__ import annotations

import select
import socket
import struct
from collections import Counter
from collections.abc import Callable
from enum import IntEnum
from hashlib import blake2b
from hmac import compare_digest
from typing import NamedTuple

from d4py_fixed.engine.transport import MessageParts
from d4py_fixed.local.socket_transport import SocketTransport
from dispel4py.errors import ServiceError

#: Number of the driver among the peers of a rank.
DRIVER = -1
_MAC_BYTES = 16
_AUTHENTICATED = struct.Struct("!iiQB")


class Kind(IntEnum):
    """The kinds of messages."""

    REMOTE_PORT = 0  #: to the first rank: the port for ranks on other machines
    RANK_SPEC = 1  #: to a rank: what to run
    FRAME = 2  #: a frame of the run, to or from the driver
    STOP = 3  #: to a rank: the run has failed
    RUN_ENDED = 4  #: from a rank: its part of the run has ended; the error, if there was one
    SHUTDOWN = 5  #: to a rank: there are no more runs, and all went well
    ABORT = 6  #: to a rank: call `MPI_Abort`
    THREADS = 7  #: from a rank: it has left MPI, and ends after these threads


class Message(NamedTuple):
    """A message from a peer."""

    peer: int
    kind: Kind
    parts: list[bytes | bytearray | memoryview]


class ControlChannels:
    """The control channels of one process.

    Args:
        number: number of this rank, or `DRIVER`.
        key: the run's key.
        check: see `SocketTransport`.
    """

    def __init__(self, number: int, key: bytes, check: Callable[[], None] | None = None) -> None:
        self._number = number
        self._key = key
        self._sockets = SocketTransport({}, check)
        self._sent: Counter[int] = Counter()
        self._received: Counter[int] = Counter()

    @property
    def disconnected(self) -> list[int]:
        """Peers that have ended, in that order."""
        return self._sockets.disconnected

    def connect(self, peer: int, channel: socket.socket) -> None:
        """Add the connection to a peer."""
        channel.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, True)
        self._sockets.connect(peer, channel)

    def send(self, peer: int, kind: Kind, parts: MessageParts = ()) -> None:
        """Send a message; see `Transport.send`."""
        self._sockets.send(peer, self._authenticated(peer, kind, parts))

    def send_nowait(self, peer: int, kind: Kind) -> None:
        """Send a message, or drop it if the socket's buffer is full."""
        self._sockets.send_nowait(peer, self._authenticated(peer, kind, ()))

    def receive(self, seconds: float) -> Message | None:
        """Return the next message; see `Transport.receive`.

        Raises:
            ServiceError: the message was changed, repeated, or sent without the key.
        """
        arrived = self._sockets.receive(seconds)
        if arrived is None:
            return None
        peer, (front, *parts) = arrived
        kind, mac = front[0], bytes(front[1:])
        expected = self._mac(peer, peer, self._received[peer], kind, parts)
        if not compare_digest(mac, expected):
            raise ServiceError(
                "a message on a control channel of the MPI run was changed on its way"
            )
        self._received[peer] += 1
        return Message(peer, Kind(kind), parts)

    def close(self) -> None:
        """Close all connections."""
        self._sockets.close()

    def _authenticated(self, peer: int, kind: Kind, parts: MessageParts) -> MessageParts:
        mac = self._mac(peer, self._number, self._sent[peer], kind, parts)
        self._sent[peer] += 1
        return [bytes([kind]) + mac, *parts]

    def _mac(self, peer: int, sender: int, sequence: int, kind: int, parts: MessageParts) -> bytes:
        # With channel, direction and sequence number, no message can replace another one.
        place = _AUTHENTICATED.pack(max(peer, self._number), sender, sequence, kind)
        digest = blake2b(place, digest_size=_MAC_BYTES, key=self._key)
        for part in parts:
            view = memoryview(part).cast("B")
            digest.update(view.nbytes.to_bytes(8, "big"))
            digest.update(view)
        return digest.digest()


def receive_from_driver(channels: ControlChannels, channel: socket.socket) -> Message | None:
    """Wait for a message of the driver, however long that takes.

    Args:
        channels: the only channel of a rank.
        channel: its socket.

    Returns:
        The message, or None if the driver has ended.
    """
    poll = select.poll()
    poll.register(channel, select.POLLIN)
    while (message := channels.receive(0.0)) is None and not channels.disconnected:
        poll.poll()
    return message
