"""`Transport` over Unix sockets, with a connected pair for every two ranks that exchange frames.

Sockets are non-blocking: a `send` that has to wait goes on receiving meanwhile.
"""

from __future__ import annotations

import selectors
import socket
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from itertools import islice
from time import monotonic

from d4py_fixed.engine.transport import MessageParts
from d4py_fixed.local.frame_decoder import FrameDecoder, encode

#: Buffers that one system call is given; POSIX promises 16.
_MOST_BUFFERS = 16
#: Bytes that are read at once, unless they belong to one part of a frame.
_READ_BYTES = 1 << 16
#: Seconds between two calls of `check` while a `send` waits.
_CHECK_SECONDS = 0.1


class SocketTransport:
    """See `Transport`.

    A `send` waits for as long as its peer does not read, which is backpressure, and returns when
    the peer ends.  In a rank, which has no `check`, the driver bounds the wait: it detects ranks
    that have died or are stopped by a signal, and ends the others; without a driver, a rank ends
    itself (`dispel4py.processes.workers.pool`).

    Args:
        peers: other rank → socket.
        check: called regularly while `send` waits; may raise.

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
        self._decoders: dict[int, FrameDecoder] = {}
        self._space = memoryview(bytearray(_READ_BYTES))
        self._has_looked = False  # since the last `receive` that has returned nothing
        self.disconnected: list[int] = []
        for rank, peer in peers.items():
            self.connect(rank, peer)

    def connect(self, rank: int, peer: socket.socket) -> None:
        """Add the socket of one more rank."""
        peer.setblocking(False)
        self._peers[rank] = peer
        self._decoders[rank] = FrameDecoder()
        self._selector.register(peer, selectors.EVENT_READ, rank)

    def send(self, rank: int, parts: MessageParts) -> None:
        unsent = encode(parts)
        try:
            while not write(self._peers[rank], unsent):
                self._receive_until_writable(rank)
        except (BrokenPipeError, ConnectionResetError):
            return  # the peer has ended

    def send_nowait(self, rank: int, parts: MessageParts) -> None:
        """Send a small frame, or drop it if the socket's buffer is full."""
        with suppress(OSError):
            write(self._peers[rank], encode(parts))

    def receive(self, seconds: float) -> tuple[int, MessageParts] | None:
        arrived = self._arrived
        if not arrived:
            if self._has_looked and not seconds:
                self._has_looked = False  # there is hardly more yet, and a look is a system call
                return None
            until = monotonic() + seconds if seconds else 0.0
            self._receive(seconds)
            while not arrived and (left := until - monotonic()) > 0:
                self._receive(left)
        self._has_looked = bool(arrived)
        return arrived.popleft() if arrived else None

    def close(self) -> None:
        self._selector.close()
        for peer in self._peers.values():
            peer.close()

    def _receive_until_writable(self, rank: int) -> None:
        peer = self._peers[rank]
        if rank in self._decoders:
            self._selector.modify(peer, selectors.EVENT_READ | selectors.EVENT_WRITE, rank)
        else:
            self._selector.register(peer, selectors.EVENT_WRITE, rank)
        try:
            while not self._receive(_CHECK_SECONDS, rank):
                if self._check is not None:
                    self._check()
        finally:
            if rank in self._decoders:
                self._selector.modify(peer, selectors.EVENT_READ, rank)
            elif peer in self._selector.get_map():
                self._selector.unregister(peer)

    def _receive(self, seconds: float, awaited: int | None = None) -> bool:
        """Read what has arrived; return True if `awaited` is writable or has ended."""
        is_writable = False
        for key, events in self._selector.select(seconds):
            if events & selectors.EVENT_READ:
                self._read(key.data)
            if key.data == awaited and (
                events & selectors.EVENT_WRITE or awaited not in self._decoders
            ):
                is_writable = True
        return is_writable

    def _read(self, rank: int) -> None:
        """Read all that a peer has sent."""
        peer, decoder = self._peers[rank], self._decoders[rank]
        while True:
            part = decoder.to_fill
            space = self._space if part is None else part
            try:
                count = peer.recv_into(space)
            except BlockingIOError:
                return
            except ConnectionResetError:
                count = 0
            if count == 0:
                self._selector.unregister(peer)
                del self._decoders[rank]
                self.disconnected.append(rank)
                return
            frames = decoder.decode(space[:count]) if part is None else decoder.filled(count)
            self._arrived.extend((rank, parts) for parts in frames)
            if count < len(space):
                return  # there was no more


def write(peer: socket.socket, unsent: deque[memoryview]) -> bool:
    """Write what a socket accepts now, and remove it from `unsent`.

    Returns:
        Whether everything was written.
    """
    while unsent:
        try:
            sent = peer.sendmsg(islice(unsent, _MOST_BUFFERS))
        except BlockingIOError:
            return False
        while unsent and sent >= len(unsent[0]):
            sent -= len(unsent.popleft())
        if sent:
            unsent[0] = unsent[0][sent:]
    return True
