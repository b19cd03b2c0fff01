"""`Transport` over ZeroMQ: each rank has one socket that receives, and one per peer that sends.

ZeroMQ's own threads move the bytes, so a rank that computes still sends and receives what its
queues hold.  The queues are short; the engine's limits bound the rest.

A frame is one ZeroMQ message.  Its first part is the sender's rank, the sizes of the frame's parts
and the small ones themselves; the large ones are message parts of their own.

The socket of a peer is a ROUTER: unlike a PUSH socket, it distinguishes a peer that is gone from
one that is busy.
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

#: Frames that wait on either side of a connection; a sender with more of them waits.
_QUEUE = 32
#: Milliseconds for which frames in the queues may delay the end of a process.
_LINGER = 500
#: Milliseconds between two attempts to send to a peer that does not receive: it may be gone.
_RETRY = 100
#: Seconds between two checks of connections and of the caller's `check`.
_CHECK_SECONDS = 0.2
#: Milliseconds between two heartbeats, and after the last one until the peer counts as lost.
_HEARTBEAT, _HEARTBEAT_TIMEOUT = 1_000, 10_000
_HEAD = struct.Struct("!II")
_PEER = b"p"
_EVENT = struct.Struct("=H")


class ConnectionLostError(ServiceError):
    """A connection broke, and no process has reported why.

    Args:
        rank: the rank at the other end.
        address: its address.
    """

    def __init__(self, rank: int, address: str) -> None:
        self.rank, self.address = rank, address
        super().__init__(rank, address)

    def __str__(self) -> str:
        return f"lost the connection to rank {self.rank} ({self.address})"


class ZmqTransport:
    """See `Transport`.

    A `send` waits for as long as its peer does not receive, which is backpressure, and returns when
    the peer has ended.

    Args:
        rank: number of this rank.
        listener: where peers connect to; owned by this transport from now on.
        addresses: other rank → where it listens.
        keys: those of the run; None if every peer that can reach the listener may connect.
        grace_seconds: seconds after which a lost connection is an error, if there is no other
            until then; None if the process that started the ranks detects their end.
        check: called regularly, also while `send` waits; may raise.

    Attributes:
        grace_seconds: the same.
        check: the same.
    """

    def __init__(
        self,
        rank: int,
        listener: Listener,
        addresses: Mapping[int, str],
        keys: CurveKeys | None = None,
        grace_seconds: float | None = None,
        check: Callable[[], None] | None = None,
    ) -> None:
        self._rank = rank
        self._keys = keys
        self.grace_seconds = grace_seconds
        self.check = check
        self._next_check = monotonic()
        self._lost: dict[int, float] = {}
        self._expected_disconnects: set[int] = set()
        self._addresses: dict[int, str] = {}
        self._peers: dict[int, zmq.Socket[bytes]] = {}
        self._arrived: deque[tuple[int, MessageParts]] = deque()
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._context.set(zmq.MAX_SOCKETS, 1024 + len(addresses))
        if keys is not None:
            Authenticator(self._context, keys).start()
        self._inbox = self._socket(zmq.DEALER)
        self._monitor: zmq.Socket[bytes] | None = None
        self._rejected = 0
        if keys is not None:
            keys.accept(self._inbox)
            # Not the events of failures: a monitor of these makes ZeroMQ 4.3 stop reading from a
            # connection on which bytes were changed, where it should close it.
            self._monitor = self._inbox.get_monitor_socket(
                zmq.EVENT_ACCEPTED | zmq.EVENT_HANDSHAKE_SUCCEEDED
            )
        address = address_of(listener)
        self._inbox.set(zmq.USE_FD, listener.detach())
        self._inbox.bind(address)
        for peer, where in addresses.items():
            self.connect(peer, where)

    def connect(self, rank: int, address: str, *, heartbeat: bool = False) -> None:
        """Connect to another rank.

        Args:
            rank: its number.
            address: where it listens.
            heartbeat: detect the loss of its host; only for peers that always receive.
        """
        peer = self._socket(zmq.ROUTER)
        peer.set(zmq.ROUTER_MANDATORY, 1)
        peer.set(zmq.CONNECT_ROUTING_ID, _PEER)
        # All peers listen already: a connection that fails or breaks is not tried again.
        peer.set(zmq.RECONNECT_IVL, -1)
        peer.set(zmq.HANDSHAKE_IVL, 0)  # the process that listens may not have started yet
        peer.set(zmq.IPV6, "[" in address)
        peer.set(zmq.TCP_KEEPALIVE, 1)
        if heartbeat:
            peer.set(zmq.HEARTBEAT_IVL, _HEARTBEAT)
            peer.set(zmq.HEARTBEAT_TIMEOUT, _HEARTBEAT_TIMEOUT)
        if self._keys is not None:
            self._keys.connect(peer)
        peer.connect(address)
        self._peers[rank] = peer
        self._addresses[rank] = address

    def expect_disconnect(self, rank: int) -> None:
        """Tolerate the loss of the connection to a rank from now on."""
        self._expected_disconnects.add(rank)

    def send(self, rank: int, parts: MessageParts) -> None:
        message = [_PEER, *_encode(self._rank, parts)]
        while (peer := self._peers.get(rank)) is not None:
            try:
                peer.send_multipart(message, zmq.DONTWAIT)
                return
            except zmq.Again:
                self._receive_until_writable(peer)
                self._check_regularly()
            except zmq.ZMQError as error:
                self._note_loss(rank, error)

    def receive(self, seconds: float) -> tuple[int, MessageParts] | None:
        self._check_regularly()
        if not self._arrived:
            self._receive_frame(seconds)
        return self._arrived.popleft() if self._arrived else None

    def close(self) -> None:
        if self._context.closed:
            return
        self._inbox.disable_monitor()
        for socket in (self._inbox, self._monitor, *self._peers.values()):
            if socket is not None:
                socket.close()
        self._peers.clear()
        self._context.term()

    def rejected_connections(self) -> int:
        """Return how many connections have not proved to have the key."""
        while self._monitor is not None and self._monitor.poll(0):
            (event,) = _EVENT.unpack_from(self._monitor.recv_multipart()[0])
            self._rejected += 1 if event == zmq.EVENT_ACCEPTED else -1
        return self._rejected

    def _socket(self, kind: int) -> zmq.Socket[bytes]:
        socket = self._context.socket(kind)
        socket.set(zmq.LINGER, _LINGER)
        socket.set(zmq.SNDHWM, _QUEUE)
        socket.set(zmq.RCVHWM, _QUEUE)
        return socket

    def _receive_frame(self, seconds: float) -> None:
        """Receive the next frame; wait up to `seconds` for it."""
        if zmq.zmq_poll([(self._inbox, zmq.POLLIN)], ceil(seconds * 1000)):
            first = self._inbox.recv(copy=False)
            large = self._inbox.recv_multipart(copy=False) if first.more else []
            rank, parts = _decode(first.buffer, (part.buffer for part in large))
            if parts:
                self._arrived.append((rank, parts))

    def _receive_until_writable(self, peer: zmq.Socket[bytes]) -> None:
        """Receive frames until the peer's socket is writable, or the next check is due."""
        while monotonic() < self._next_check:
            ready = zmq.zmq_poll([(self._inbox, zmq.POLLIN), (peer, zmq.POLLOUT)], _RETRY)
            if not ready or (peer, zmq.POLLOUT) in ready:
                return
            self._receive_frame(0.0)

    def _note_loss(self, rank: int, error: zmq.ZMQError) -> None:
        if error.errno != zmq.EHOSTUNREACH:
            raise error
        self._peers.pop(rank).close(linger=0)
        self._lost[rank] = monotonic()

    def _check_regularly(self) -> None:
        """Check peers, and call `check`, if the next check is due."""
        if monotonic() >= self._next_check:
            self._next_check = monotonic() + _CHECK_SECONDS
            if self.grace_seconds is not None:
                self._check_peers(self.grace_seconds)
            if self.check is not None:
                self.check()

    def _check_peers(self, grace_seconds: float) -> None:
        for rank, peer in list(self._peers.items()):
            if not peer.poll(0, zmq.POLLOUT):
                try:  # only a send finds out which; receivers ignore a frame without parts
                    peer.send_multipart([_PEER, *_encode(self._rank, [])], zmq.DONTWAIT)
                except zmq.Again:
                    pass
                except zmq.ZMQError as error:
                    self._note_loss(rank, error)
        for rank, at in self._lost.items():
            if monotonic() >= at + grace_seconds and rank not in self._expected_disconnects:
                raise ConnectionLostError(rank, self._addresses[rank])


def _encode(rank: int, parts: MessageParts) -> list[bytes | bytearray | memoryview]:
    """Return the parts of a ZeroMQ message."""
    sizes = [memoryview(part).nbytes for part in parts]
    small = [part for part, size in zip(parts, sizes, strict=True) if size < LARGE_BYTES]
    large = [part for part, size in zip(parts, sizes, strict=True) if size >= LARGE_BYTES]
    head = struct.pack(f"!II{len(sizes)}Q", rank, len(sizes), *sizes)
    return [b"".join([head, *small]), *large]


def _decode(first: memoryview, large: Iterator[memoryview]) -> tuple[int, list[memoryview]]:
    """Return the sender's rank and the parts of the frame."""
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
