"""The lines of an MPI run: the driver's process, which is no MPI rank, has one to each rank.

A line is a TCP connection, on the loopback interface where all ranks are on the driver's machine.
Whatever crosses it carries a keyed hash, checked before it is unpickled.  The key is in the
environment of the first rank, and the others get it by MPI.
"""

from __future__ import annotations

import selectors
import socket
import struct
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from enum import IntEnum
from hashlib import blake2b
from hmac import compare_digest
from typing import NamedTuple

from d4py_fixed.engine.transport import MessageParts
from d4py_fixed.local.socket_transport import SocketTransport
from d4py_fixed.mpi.output import borrow, lend
from dispel4py.errors import ServiceError

#: How a rank knows the driver.
DRIVER = -1
_HASH_BYTES = 16
_HASHED = struct.Struct("!iiQB")


class Kind(IntEnum):
    """What a message is."""

    LISTENING = 0  #: to the first rank: the port for ranks on other machines
    ORDERS = 1  #: to a rank: what to run
    FRAME = 2  #: a frame of the run, to or from the driver
    STOP = 3  #: to a rank: the run is given up
    OUT = 4  #: from a rank: it is done with the run, or the error that ended it
    END = 5  #: to a rank: all is over, and well
    ABORT = 6  #: to a rank: all is over, and not well
    THREADS = 7  #: from a rank: it has left MPI, and ends once threads have; their names


class Message(NamedTuple):
    """A message from a peer."""

    peer: int
    kind: Kind
    parts: list[bytes | bytearray | memoryview]


class ControlChannels:
    """One end of some lines.

    Args:
        own: number of this rank, or `DRIVER`.
        key: the run's key.
        check: see `SocketTransport`.
    """

    def __init__(self, own: int, key: bytes, check: Callable[[], None] | None = None) -> None:
        self._own = own
        self._key = key
        self._pipes = SocketTransport({}, check)
        self._sent: Counter[int] = Counter()
        self._received: Counter[int] = Counter()

    @property
    def gone(self) -> list[int]:
        """Peers that have ended, in that order."""
        return self._pipes.disconnected

    def connect(self, peer: int, line: socket.socket) -> None:
        """Take a line."""
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, True)
        self._pipes.connect(peer, line)

    def send(self, peer: int, kind: Kind, parts: MessageParts = ()) -> None:
        """Send a message; see `Transport.send`."""
        self._pipes.send(peer, self._sealed(peer, kind, parts))

    def send_at_once(self, peer: int, kind: Kind) -> None:
        """Send a message if there is room for it, and else do not."""
        self._pipes.send_nowait(peer, self._sealed(peer, kind, ()))

    def receive(self, seconds: float) -> Message | None:
        """The next message; see `Transport.receive`.

        Raises:
            ServiceError: it is not from who it should be from.
        """
        arrived = self._pipes.receive(seconds)
        if arrived is None:
            return None
        peer, (front, *parts) = arrived
        kind, seal = front[0], bytes(front[1:])
        expected = self._hash(peer, peer, self._received[peer], kind, parts)
        if not compare_digest(seal, expected):
            raise ServiceError("what came over a line of the MPI run was changed on its way")
        self._received[peer] += 1
        return Message(peer, Kind(kind), parts)

    def close(self) -> None:
        """Let go of all lines."""
        self._pipes.close()

    def _sealed(self, peer: int, kind: Kind, parts: MessageParts) -> MessageParts:
        seal = self._hash(peer, self._own, self._sent[peer], kind, parts)
        self._sent[peer] += 1
        return [bytes([kind]) + seal, *parts]

    def _hash(self, peer: int, sender: int, number: int, kind: int, parts: MessageParts) -> bytes:
        # With line, direction and number in it, no message can stand for another one.
        place = _HASHED.pack(max(peer, self._own), sender, number, kind)
        made = blake2b(place, digest_size=_HASH_BYTES, key=self._key)
        for part in parts:
            view = memoryview(part).cast("B")
            made.update(view.nbytes.to_bytes(8, "big"))
            made.update(view)
        return made.digest()


class Hello(NamedTuple):
    """What a rank says first: who it is, of how many, and whether some are on other machines."""

    rank: int
    size: int
    pid: int
    is_wide: bool


_HELLO = struct.Struct("!iiiB")


def dial(address: tuple[str, int], key: bytes, hello: Hello) -> socket.socket:
    """Connect a rank to the driver.

    Raises:
        OSError: nobody is there.
    """
    line = socket.create_connection(address)
    _say_hello(line, key, hello)
    return line


def borrow_streams(port: int, key: bytes, hello: Hello) -> None:
    """Have the driver's standard output and error, where this rank is on the same machine.

    Args:
        port: `Listener.port` of the driver.
        key: the run's key.
        hello: which rank this is.
    """
    # Without such sockets, or across a border between containers, mpiexec forwards what is printed.
    with suppress(OSError), socket.socket(socket.AF_UNIX) as line:
        line.connect(_lending_address(port))
        _say_hello(line, key, hello)
        borrow(line)


def _lending_address(port: int) -> str:
    return f"\0d4py-mpi-{port}"


def _say_hello(line: socket.socket, key: bytes, hello: Hello) -> None:
    packed = _HELLO.pack(*hello)
    line.sendall(packed + blake2b(packed, key=key).digest())


class Listener:
    """Where ranks come in to the driver; nobody without the key does.

    Those that come by a Unix socket are lent the standard output and error of this process.

    Args:
        key: the run's key.

    Attributes:
        port: where ranks of this machine knock.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._knocking: dict[socket.socket, bytearray] = {}
        self._listeners: list[socket.socket] = []
        self._selector = selectors.DefaultSelector()
        self.port = self._listen("127.0.0.1")
        with suppress(OSError):  # Linux alone has sockets with a name that is no file
            lender = socket.socket(socket.AF_UNIX)
            self._listeners.append(lender)
            lender.bind(_lending_address(self.port))
            lender.listen(1024)
            self._selector.register(lender, selectors.EVENT_READ)

    def open_wide(self) -> int:
        """Let ranks of other machines in as well; returns the port for them."""
        return self._listen("")

    def callers(self, seconds: float) -> list[tuple[socket.socket, Hello]]:
        """Who has come in; waits for somebody for so long."""
        came = []
        for key, _ in self._selector.select(seconds):
            line = key.fileobj
            assert isinstance(line, socket.socket)
            if line in self._listeners:
                line, _ = line.accept()
                line.setblocking(False)
                self._knocking[line] = bytearray()
                self._selector.register(line, selectors.EVENT_READ)
            elif (hello := self._heard(line)) is not None:
                if line.family == socket.AF_UNIX:
                    with suppress(OSError), line:
                        lend(line)
                else:
                    came.append((line, hello))
        return came

    def close(self) -> None:
        """Let nobody in any more."""
        self._selector.close()
        for line in [*self._listeners, *self._knocking]:
            line.close()

    def _listen(self, host: str) -> int:
        listener = socket.create_server((host, 0), backlog=1024)
        self._listeners.append(listener)
        self._selector.register(listener, selectors.EVENT_READ)
        port: int = listener.getsockname()[1]
        return port

    def _heard(self, line: socket.socket) -> Hello | None:
        """What a caller has said, once that is all there and by the key."""
        heard = self._knocking[line]
        said = _HELLO.size + blake2b.MAX_DIGEST_SIZE
        try:
            heard += (more := line.recv(said - len(heard)))
        except OSError:
            more = b""
        if more and len(heard) < said:
            return None
        self._selector.unregister(line)
        del self._knocking[line]
        packed, seal = heard[: _HELLO.size], heard[_HELLO.size :]
        if not compare_digest(bytes(seal), blake2b(packed, key=self._key).digest()):
            line.close()
            return None
        rank, size, pid, is_wide = _HELLO.unpack(packed)
        return Hello(rank, size, pid, bool(is_wide))
