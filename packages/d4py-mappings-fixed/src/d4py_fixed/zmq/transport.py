"""`Transport` over ZeroMQ: each rank has a socket that it is sent to, and one to every peer.

ZeroMQ's own threads move the bytes, so a rank that computes still takes in and gives away what its
queues hold.  The queues are short; the loop's own limits do the rest.

A frame is one ZeroMQ message.  Its first part is the sender's rank, the sizes of the frame's parts
and the small ones themselves; the large ones are message parts of their own.

Peers are sent to by a ROUTER, of which each has just one: unlike a PUSH socket, it tells a peer
that is gone from one that is busy.
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from math import ceil
from socket import socket as Listener
from time import monotonic

import zmq

from d4py_fixed.engine.transport import LARGE_BYTES, MessageParts
from d4py_fixed.zmq.addresses import address_of
from d4py_fixed.zmq.curve_keys import Authenticator, CurveKeys
from dispel4py.errors import ServiceError

#: Frames that wait on either side of a connection; whoever has more to send waits.
_QUEUE = 32
#: How long frames that were sent may hold up the end of a process, in milliseconds.
_LINGER = 500
#: Milliseconds between two tries to send to a peer that takes nothing: perhaps it is gone.
_RETRY = 100
#: Seconds between two looks at whether anything has gone wrong.
_LOOK_SECONDS = 0.2
#: Milliseconds between two signs of life, and how long one may be missing.
_HEARTBEAT, _HEARTBEAT_LIMIT = 1_000, 10_000
#: MessageParts of at least so many bytes are message parts of their own.
_HEAD = struct.Struct("!II")
_PEER = b"p"
_EVENT = struct.Struct("=H")


class ConnectionLostError(ServiceError):
    """A connection broke, and nobody has said why.

    Args:
        rank: whom it led to.
        address: where.
    """

    def __init__(self, rank: int, address: str) -> None:
        self.rank, self.address = rank, address
        super().__init__(rank, address)

    def __str__(self) -> str:
        return f"lost the connection to rank {self.rank} ({self.address})"


class ZmqTransport:
    """See `Transport`.

    Args:
        rank: number of this rank.
        listener: where the others connect to; becomes this transport's own.
        addresses: other rank → where it listens.
        keys: who may connect; None if everybody who can reach the listener.
        patience: seconds after which a broken connection is an error, for want of a better one;
            None if whoever started the ranks will know.
        check: called now and then, while `send` waits too; may raise.

    Attributes:
        patience: the same.
        check: the same.
    """

    def __init__(
        self,
        rank: int,
        listener: Listener,
        addresses: Mapping[int, str],
        keys: CurveKeys | None = None,
        patience: float | None = None,
        check: Callable[[], None] | None = None,
    ) -> None:
        self._rank = rank
        self._keys = keys
        self.patience = patience
        self.check = check
        self._look_at = monotonic()
        self._lost: dict[int, float] = {}
        self._may_go: set[int] = set()
        self._addresses: dict[int, str] = {}
        self._peers: dict[int, zmq.Socket[bytes]] = {}
        self._arrived: deque[tuple[int, MessageParts]] = deque()
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._context.set(zmq.MAX_SOCKETS, 1024 + len(addresses))
        if keys is not None:
            Authenticator(self._context, keys).start()
        self._inbox = self._socket(zmq.DEALER)
        self._visits: zmq.Socket[bytes] | None = None
        self._strangers = 0
        if keys is not None:
            keys.accept(self._inbox)
            # Not the events of failures: who watches those makes ZeroMQ 4.3 stop reading from a
            # connection on which bytes were changed, where it should end it.
            self._visits = self._inbox.get_monitor_socket(
                zmq.EVENT_ACCEPTED | zmq.EVENT_HANDSHAKE_SUCCEEDED
            )
        address = address_of(listener)
        self._inbox.set(zmq.USE_FD, listener.detach())
        self._inbox.bind(address)
        for peer, where in addresses.items():
            self.connect(peer, where)

    def connect(self, rank: int, address: str, *, heartbeat: bool = False) -> None:
        """Make another rank known.

        Args:
            rank: its number.
            address: where it listens.
            heartbeat: notice if its host falls silent; for peers that always receive.
        """
        peer = self._socket(zmq.ROUTER)
        peer.set(zmq.ROUTER_MANDATORY, 1)
        peer.set(zmq.CONNECT_ROUTING_ID, _PEER)
        # Everybody listens already: a connection that cannot be made or breaks is not made anew.
        peer.set(zmq.RECONNECT_IVL, -1)
        peer.set(zmq.HANDSHAKE_IVL, 0)  # whoever listens may yet have to start
        peer.set(zmq.IPV6, "[" in address)
        peer.set(zmq.TCP_KEEPALIVE, 1)
        if heartbeat:
            peer.set(zmq.HEARTBEAT_IVL, _HEARTBEAT)
            peer.set(zmq.HEARTBEAT_TIMEOUT, _HEARTBEAT_LIMIT)
        if self._keys is not None:
            self._keys.connect(peer)
        peer.connect(address)
        self._peers[rank] = peer
        self._addresses[rank] = address

    def let_go(self, rank: int) -> None:
        """Take it for no error if the connection to a rank breaks from now on."""
        self._may_go.add(rank)

    def send(self, rank: int, parts: MessageParts) -> None:
        message = [_PEER, *_packed(self._rank, parts)]
        while (peer := self._peers.get(rank)) is not None:
            try:
                peer.send_multipart(message, zmq.DONTWAIT)
                return
            except zmq.Again:
                self._take_in_until_writable(peer)
                self._look()
            except zmq.ZMQError as error:
                self._lose(rank, error)

    def receive(self, seconds: float) -> tuple[int, MessageParts] | None:
        self._look()
        if not self._arrived:
            self._take_in(seconds)
        return self._arrived.popleft() if self._arrived else None

    def close(self) -> None:
        if self._context.closed:
            return
        self._inbox.disable_monitor()
        for socket in (self._inbox, self._visits, *self._peers.values()):
            if socket is not None:
                socket.close()
        self._peers.clear()
        self._context.term()

    def strangers(self) -> int:
        """How many connections have not shown the key."""
        while self._visits is not None and self._visits.poll(0):
            (event,) = _EVENT.unpack_from(self._visits.recv_multipart()[0])
            self._strangers += 1 if event == zmq.EVENT_ACCEPTED else -1
        return self._strangers

    def _socket(self, kind: int) -> zmq.Socket[bytes]:
        socket = self._context.socket(kind)
        socket.set(zmq.LINGER, _LINGER)
        socket.set(zmq.SNDHWM, _QUEUE)
        socket.set(zmq.RCVHWM, _QUEUE)
        return socket

    def _take_in(self, seconds: float) -> None:
        """Take in the next frame; wait for it for so long."""
        if zmq.zmq_poll([(self._inbox, zmq.POLLIN)], ceil(seconds * 1000)):
            first = self._inbox.recv(copy=False)
            large = self._inbox.recv_multipart(copy=False) if first.more else []
            rank, parts = _unpacked(first.buffer, (part.buffer for part in large))
            if parts:
                self._arrived.append((rank, parts))

    def _take_in_until_writable(self, peer: zmq.Socket[bytes]) -> None:
        """Take in what arrives until the peer can be sent to, or it is time to look around."""
        while monotonic() < self._look_at:
            ready = zmq.zmq_poll([(self._inbox, zmq.POLLIN), (peer, zmq.POLLOUT)], _RETRY)
            if not ready or (peer, zmq.POLLOUT) in ready:
                return
            self._take_in(0.0)

    def _lose(self, rank: int, error: zmq.ZMQError) -> None:
        if error.errno != zmq.EHOSTUNREACH:
            raise error
        self._peers.pop(rank).close(linger=0)
        self._lost[rank] = monotonic()

    def _look(self) -> None:
        """See now and then whether anything has gone wrong."""
        if monotonic() >= self._look_at:
            self._look_at = monotonic() + _LOOK_SECONDS
            if self.patience is not None:
                self._look_at_peers(self.patience)
            if self.check is not None:
                self.check()

    def _look_at_peers(self, patience: float) -> None:
        for rank, peer in list(self._peers.items()):
            if not peer.poll(0, zmq.POLLOUT):
                try:  # only sending tells busy from gone; a frame without parts is overlooked
                    peer.send_multipart([_PEER, *_packed(self._rank, [])], zmq.DONTWAIT)
                except zmq.Again:
                    pass
                except zmq.ZMQError as error:
                    self._lose(rank, error)
        for rank, at in self._lost.items():
            if monotonic() >= at + patience and rank not in self._may_go:
                raise ConnectionLostError(rank, self._addresses[rank])


def _packed(rank: int, parts: MessageParts) -> list[bytes | bytearray | memoryview]:
    """The parts of a message."""
    sizes = [memoryview(part).nbytes for part in parts]
    small = [part for part, size in zip(parts, sizes, strict=True) if size < LARGE_BYTES]
    large = [part for part, size in zip(parts, sizes, strict=True) if size >= LARGE_BYTES]
    head = struct.pack(f"!II{len(sizes)}Q", rank, len(sizes), *sizes)
    return [b"".join([head, *small]), *large]


def _unpacked(first: memoryview, large: Iterator[memoryview]) -> tuple[int, list[memoryview]]:
    """The sender's rank, and the parts of the frame."""
    rank, count = _HEAD.unpack_from(first)
    at = _HEAD.size + 8 * count
    parts: list[memoryview] = []
    for size in struct.unpack_from(f"!{count}Q", first, _HEAD.size):
        if size < LARGE_BYTES:
            parts.append(first[at : at + size])
            at += size
        else:
            parts.append(next(large))
    return rank, parts
