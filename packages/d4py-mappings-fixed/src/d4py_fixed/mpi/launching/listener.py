"""How ranks connect to the driver, and authenticate with the run's key."""

from __future__ import annotations

import selectors
import socket
import struct
from contextlib import suppress
from hashlib import blake2b
from hmac import compare_digest
from typing import NamedTuple

from d4py_fixed.mpi.launching.output import adopt_streams, share_streams


class Hello(NamedTuple):
    """The first message of a rank: its number, the number of ranks, and its process.

    Attributes:
        is_remote: some ranks are on other machines than the first one.
    """

    rank: int
    size: int
    pid: int
    is_remote: bool


_HELLO = struct.Struct("!iiiB")
_HELLO_BYTES = _HELLO.size + blake2b.MAX_DIGEST_SIZE


def connect(address: tuple[str, int], key: bytes, hello: Hello) -> socket.socket:
    """Connect a rank to the driver.

    Raises:
        OSError: nothing listens there.
    """
    channel = socket.create_connection(address)
    _send_hello(channel, key, hello)
    return channel


def adopt_streams_of_driver(port: int, key: bytes, hello: Hello) -> None:
    """Replace standard output and error by the driver's, if it is on the same machine.

    Args:
        port: `Listener.port` of the driver.
        key: the run's key.
        hello: the rank.
    """
    # Without abstract sockets, or in another network namespace, mpiexec forwards the output.
    with suppress(OSError), socket.socket(socket.AF_UNIX) as connection:
        connection.connect(_stream_address(port))
        _send_hello(connection, key, hello)
        adopt_streams(connection)


def _stream_address(port: int) -> str:
    return f"\0d4py-mpi-{port}"


def _send_hello(connection: socket.socket, key: bytes, hello: Hello) -> None:
    packed = _HELLO.pack(*hello)
    connection.sendall(packed + blake2b(packed, key=key).digest())


class Listener:
    """Listens for ranks; accepts only connections that authenticate with the run's key.

    A connection to the Unix socket gets the standard output and error of this process.

    Args:
        key: the run's key.

    Attributes:
        port: the port for ranks on this machine.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key
        #: Connections that have not authenticated yet, and what each has sent.
        self._pending: dict[socket.socket, bytearray] = {}
        self._listeners: list[socket.socket] = []
        self._selector = selectors.DefaultSelector()
        self.port = self._listen("127.0.0.1")
        with suppress(OSError):  # only Linux has abstract Unix sockets
            streams = socket.socket(socket.AF_UNIX)
            self._listeners.append(streams)
            streams.bind(_stream_address(self.port))
            streams.listen(1024)
            self._selector.register(streams, selectors.EVENT_READ)

    def bind_all(self) -> int:
        """Listen on all interfaces, for ranks on other machines; return the port."""
        return self._listen("")

    def accept(self, seconds: float) -> list[tuple[socket.socket, Hello]]:
        """Return the ranks that have connected; wait for one for up to `seconds`."""
        accepted = []
        for key, _ in self._selector.select(seconds):
            connection = key.fileobj
            assert isinstance(connection, socket.socket)
            if connection in self._listeners:
                connection, _ = connection.accept()
                connection.setblocking(False)
                self._pending[connection] = bytearray()
                self._selector.register(connection, selectors.EVENT_READ)
            elif (hello := self._read_hello(connection)) is not None:
                if connection.family == socket.AF_UNIX:
                    with suppress(OSError), connection:
                        share_streams(connection)
                else:
                    accepted.append((connection, hello))
        return accepted

    def close(self) -> None:
        """Stop listening, and close connections that have not authenticated."""
        self._selector.close()
        for connection in [*self._listeners, *self._pending]:
            connection.close()

    def _listen(self, host: str) -> int:
        listener = socket.create_server((host, 0), backlog=1024)
        self._listeners.append(listener)
        self._selector.register(listener, selectors.EVENT_READ)
        port: int = listener.getsockname()[1]
        return port

    def _read_hello(self, connection: socket.socket) -> Hello | None:
        """Return the first message of a connection, once it is complete and authentic."""
        read = self._pending[connection]
        try:
            read += (more := connection.recv(_HELLO_BYTES - len(read)))
        except OSError:
            more = b""
        if more and len(read) < _HELLO_BYTES:
            return None
        self._selector.unregister(connection)
        del self._pending[connection]
        packed, mac = read[: _HELLO.size], read[_HELLO.size :]
        if not compare_digest(bytes(mac), blake2b(packed, key=self._key).digest()):
            connection.close()
            return None
        rank, size, pid, is_remote = _HELLO.unpack(packed)
        return Hello(rank, size, pid, bool(is_remote))
