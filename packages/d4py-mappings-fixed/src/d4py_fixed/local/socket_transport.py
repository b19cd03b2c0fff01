"""`Transport` over Unix sockets in pairs, one for every two ranks that have something to say.

Sockets never block: whoever waits to send takes in what arrives meanwhile.  On the wire a frame is
the number of its parts, their lengths, and the parts.
"""

from __future__ import annotations

import selectors
import socket
import struct
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from itertools import islice
from time import monotonic

from d4py_fixed.engine.transport import MessageParts

_COUNT = struct.Struct("!I")
_LENGTH = struct.Struct("!Q")
#: Seconds between two calls of `check` while nothing arrives.
_LOOK_SECONDS = 0.1


class SocketTransport:
    """See `Transport`.

    Args:
        peers: other rank → socket.
        check: called now and then while `send` waits; may raise.

    Attributes:
        disconnected: ranks that have ended, in that order.
    """

    def __init__(
        self, peers: dict[int, socket.socket], check: Callable[[], None] | None = None
    ) -> None:
        self._peers: dict[int, socket.socket] = {}
        self._check = check
        self._selector = selectors.DefaultSelector()
        self._arrived: deque[tuple[int, MessageParts]] = deque()
        self._incoming: dict[int, Incoming] = {}
        self.disconnected: list[int] = []
        for rank, peer in peers.items():
            self.connect(rank, peer)

    def connect(self, rank: int, peer: socket.socket) -> None:
        """Take one more socket."""
        peer.setblocking(False)
        self._peers[rank] = peer
        self._incoming[rank] = Incoming()
        self._selector.register(peer, selectors.EVENT_READ, rank)

    def send(self, rank: int, parts: MessageParts) -> None:
        rest = on_the_wire(parts)
        try:
            while not write(self._peers[rank], rest):
                self._take_in_until_writable(rank)
        except (BrokenPipeError, ConnectionResetError):
            return  # the peer has ended

    def send_nowait(self, rank: int, parts: MessageParts) -> None:
        """Send a small frame if there is room for it, and else do not."""
        with suppress(OSError):
            write(self._peers[rank], on_the_wire(parts))

    def receive(self, seconds: float) -> tuple[int, MessageParts] | None:
        until = monotonic() + seconds
        while not self._arrived:
            self._take_in(max(0.0, until - monotonic()))
            if monotonic() >= until:
                break
        return self._arrived.popleft() if self._arrived else None

    def close(self) -> None:
        self._selector.close()
        for peer in self._peers.values():
            peer.close()

    def _take_in_until_writable(self, rank: int) -> None:
        peer = self._peers[rank]
        if rank in self._incoming:
            self._selector.modify(peer, selectors.EVENT_READ | selectors.EVENT_WRITE, rank)
        else:
            self._selector.register(peer, selectors.EVENT_WRITE, rank)
        try:
            while not self._take_in(_LOOK_SECONDS, rank):
                if self._check is not None:
                    self._check()
        finally:
            if rank in self._incoming:
                self._selector.modify(peer, selectors.EVENT_READ, rank)
            elif peer in self._selector.get_map():
                self._selector.unregister(peer)

    def _take_in(self, seconds: float, awaited: int | None = None) -> bool:
        """Read what is there; True if `awaited` can be written to, or has ended."""
        writable = False
        for key, events in self._selector.select(seconds):
            if events & selectors.EVENT_READ:
                self._read(key.data)
            if key.data == awaited and (
                events & selectors.EVENT_WRITE or awaited not in self._incoming
            ):
                writable = True
        return writable

    def _read(self, rank: int) -> None:
        peer, incoming = self._peers[rank], self._incoming[rank]
        while True:
            try:
                count = peer.recv_into(incoming.space())
            except BlockingIOError:
                return
            except ConnectionResetError:
                count = 0
            if count == 0:
                self._selector.unregister(peer)
                del self._incoming[rank]
                self.disconnected.append(rank)
                return
            parts = incoming.got(count)
            if parts is not None:
                self._arrived.append((rank, parts))


#: How many parts one system call is given; the least that POSIX promises is 16.
_MOST_PARTS = 16


def on_the_wire(parts: MessageParts) -> deque[memoryview]:
    """The bytes of a frame."""
    sizes = [memoryview(part).nbytes for part in parts]
    header = _COUNT.pack(len(parts)) + b"".join(map(_LENGTH.pack, sizes))
    return deque([memoryview(header), *(memoryview(part).cast("B") for part in parts)])


def write(peer: socket.socket, rest: deque[memoryview]) -> bool:
    """Write what a socket takes now; what it does not take stays in `rest`.

    Returns:
        True if it took everything.
    """
    while rest:
        try:
            sent = peer.sendmsg(islice(rest, _MOST_PARTS))
        except BlockingIOError:
            return False
        while rest and sent >= len(rest[0]):
            sent -= len(rest.popleft())
        if sent:
            rest[0] = rest[0][sent:]
    return True


class Incoming:
    """Puts the bytes of one peer together to frames."""

    def __init__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        self._lengths: list[int] | None = None
        self._parts: list[bytearray] = []
        self._expect(_COUNT.size)

    def _expect(self, size: int) -> None:
        self._buffer = bytearray(size)
        self._filled = 0

    def space(self) -> memoryview:
        """Where the next bytes belong."""
        return memoryview(self._buffer)[self._filled :]

    def got(self, count: int) -> list[bytearray] | None:
        """Take note of bytes that were put there; the frame if they complete one."""
        self._filled += count
        while self._filled == len(self._buffer):  # again at once for a part without bytes
            if self._lengths is None:
                if len(self._buffer) == _COUNT.size:
                    self._expect(_LENGTH.size * _COUNT.unpack(self._buffer)[0])
                    return None
                self._lengths = [length for (length,) in _LENGTH.iter_unpack(self._buffer)]
            else:
                self._parts.append(self._buffer)
            if len(self._parts) == len(self._lengths):
                parts = self._parts
                self._begin()
                return parts
            self._expect(self._lengths[len(self._parts)])
        return None
