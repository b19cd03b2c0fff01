"""Messages between the driver of an MPI run and its ranks, and the socket that they cross.

The driver's process is no MPI rank.  It has a Unix socket to the first rank, which passes on what
is meant for the others and what comes from them.
"""

from __future__ import annotations

import socket
import struct
from collections import deque
from enum import IntEnum
from typing import NamedTuple

from d4py_fixed.pipes import Incoming, on_the_wire, write
from d4py_fixed.transport import Parts


class Kind(IntEnum):
    """What a message is."""

    PEER = 0  #: a frame from rank to rank
    DRIVER = 1  #: a frame from or to the driver
    ORDERS = 2  #: to a rank: what to run
    STOP = 3  #: to all ranks: give this run up
    END = 4  #: to all ranks: go, with this exit status
    HELLO = 5  #: first of all on a line: which rank this is, of how many
    OUT = 6  #: from a rank: it is done with this run, or the error that ended it


#: What a rank has for the driver.
FOR_DRIVER = (Kind.DRIVER, Kind.OUT)
#: Stands for the driver, and for all ranks, where the number of a rank is expected.
DRIVER, ALL = -1, -2


class Message(NamedTuple):
    """A message.

    Attributes:
        kind: what it is.
        run: number of the run that it belongs to, so that stragglers of an earlier one are known.
        rank: whom it goes to, or comes from.
        parts: its content.
    """

    kind: Kind
    run: int
    rank: int
    parts: Parts = ()


_ENVELOPE = struct.Struct("!BHi")


class Link:
    """One end of the socket; nothing here ever blocks.

    Attributes:
        closed: the other end is gone.
    """

    def __init__(self, peer: socket.socket) -> None:
        peer.setblocking(False)
        self.closed = False
        self._peer = peer
        self._incoming = Incoming()
        self._out: deque[memoryview] = deque()

    @classmethod
    def connect(cls, path: str) -> Link:
        """The end of whoever did not listen."""
        peer = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        peer.connect(path)
        return cls(peer)

    def send(self, message: Message) -> None:
        """Send a message; what the socket does not take now goes with the next `move`."""
        if not self.closed:
            envelope = _ENVELOPE.pack(message.kind, message.run, message.rank)
            self._out += on_the_wire([envelope, *message.parts])
            self._write()

    def move(self) -> list[Message]:
        """Write what can be written now, and read what has arrived."""
        if self._out:
            self._write()
        messages: list[Message] = []
        while not self.closed:
            try:
                count = self._peer.recv_into(self._incoming.space())
            except BlockingIOError:
                break
            except ConnectionResetError:
                count = 0
            if count == 0:
                self.closed = True
                break
            arrived = self._incoming.got(count)
            if arrived is not None:
                kind, run, rank = _ENVELOPE.unpack(arrived[0])
                messages.append(Message(Kind(kind), run, rank, arrived[1:]))
        return messages

    @property
    def is_full(self) -> bool:
        """Something waits to be written."""
        return bool(self._out)

    def fileno(self) -> int:
        """For selectors."""
        return self._peer.fileno()

    def close(self) -> None:
        self.closed = True
        self._peer.close()

    def _write(self) -> None:
        try:
            write(self._peer, self._out)
        except (BrokenPipeError, ConnectionResetError):
            self._out.clear()  # what they still sent can be read
