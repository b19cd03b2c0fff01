"""`Transport` of an MPI rank: by MPI to the other ranks, by its line to the driver.

One thread at a time calls MPI, and it never waits inside MPI, which would keep a core busy: it asks
whether something has come, and sleeps in between until its bell rings.  A frame of one part is one
message; of another frame the sizes go first, and its parts follow by a communicator of their own.
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Any

from mpi4py import MPI

from d4py_fixed.engine.transport import MessageParts
from d4py_fixed.mpi.control_channel import DRIVER, ControlChannels, Kind
from d4py_fixed.mpi.wakeup_socket import WakeupSocket
from dispel4py.exceptions.unwinding import Unwind

#: Tags: a frame of one part, the sizes of a frame's parts, and the last message of a run.
_ONE, _MANY, _LAST = 1, 2, 3
#: MPI counts bytes by 32-bit numbers.
PIECE_BYTES = 1 << 30
_SIZE = struct.Struct("!Q")


class RunStopped(Unwind):
    """The driver has given the run up, or is gone."""


class MpiTransport:
    """See `Transport`.

    Args:
        heads: a communicator of all ranks for nothing but frames.
        bodies: another one, for parts.
        lines: to the driver.
        bell: of this rank.
        ranks: number of ranks in the run; by this number the loop knows the driver.
    """

    def __init__(
        self,
        heads: MPI.Intracomm,
        bodies: MPI.Intracomm,
        lines: ControlChannels,
        bell: WakeupSocket,
        ranks: int,
    ) -> None:
        self._heads, self._bodies = heads, bodies
        self._lines = lines
        self._bell = bell
        self._driver = ranks
        self._arrived: deque[tuple[int, MessageParts]] = deque()
        self._arriving: list[_Arriving] = []
        self._sending: deque[tuple[MPI.Request, Any]] = deque()
        self._finished: set[int] = set()
        self._status = MPI.Status()

    def send(self, rank: int, parts: MessageParts) -> None:
        if rank == self._driver:
            self._lines.send(DRIVER, Kind.FRAME, parts)
            return
        # What is under way must not change: only bytes cannot.
        data = [part if isinstance(part, bytes) else bytes(part) for part in parts]
        if len(data) == 1 and len(data[0]) <= PIECE_BYTES:
            self._isend(self._heads, data[0], rank, _ONE)
        else:
            sizes = b"".join(_SIZE.pack(len(part)) for part in data)
            self._isend(self._heads, sizes, rank, _MANY)
            for part in data:
                for piece in _pieces(part):
                    self._isend(self._bodies, piece, rank, 0)
        self._bell.ring(rank)

    def receive(self, seconds: float) -> tuple[int, MessageParts] | None:
        """The next frame; see `Transport`.

        Raises:
            RunStopped: the driver has given the run up, or is gone.
        """
        until = monotonic() + seconds
        while not self._arrived:
            self.look()
            self._listen()
            left = until - monotonic()
            if self._arrived or left <= 0:
                break
            self._bell.wait(left, is_calm=not (self._sending or self._arriving))
        if not self._arrived:
            return None
        self._bell.stay_awake()
        return self._arrived.popleft()

    def look(self) -> None:
        """Take in what has come by MPI, and see what has left."""
        while self._sending and self._sending[0][0].Test():
            self._sending.popleft()
        while (found := self._heads.Improbe(status=self._status)) is not None:
            head = bytearray(self._status.Get_count(MPI.BYTE))
            request = found.Irecv([head, MPI.BYTE])
            source, tag = self._status.Get_source(), self._status.Get_tag()
            self._arriving.append(_Arriving(source, tag, [head], [request]))
        if self._arriving:
            self._sort()

    def settle(self, peers: Sequence[int]) -> None:
        """At the end of a run: see all that was sent leave, and all that was sent here arrive.

        Args:
            peers: ranks that this one has something to say to, or they to it.
        """
        for peer in peers:
            self._isend(self._heads, b"", peer, _LAST)
            self._bell.ring(peer)
        self.look()
        while self._sending or self._arriving or not self._finished.issuperset(peers):
            self._bell.wait(1.0, is_calm=not (self._sending or self._arriving))
            self.look()
            self._listen()

    def close(self) -> None:
        """What it stands on stays for the next run."""

    def _isend(self, way: MPI.Intracomm, data: bytes | memoryview, rank: int, tag: int) -> None:
        request = way.Isend([data, MPI.BYTE], rank, tag)
        if not request.Test():
            self._sending.append((request, data))

    def _listen(self) -> None:
        """Take in what has come from the driver."""
        while (message := self._lines.receive(0.0)) is not None:
            if message.kind != Kind.FRAME:
                raise RunStopped
            self._arrived.append((self._driver, message.parts))
        if self._lines.gone:
            raise RunStopped

    def _sort(self) -> None:
        """Let pass what has arrived completely; frames of one rank stay in order."""
        waiting: list[_Arriving] = []
        behind: set[int] = set()
        for frame in self._arriving:
            if frame.source in behind or not frame.is_here(self._bodies):
                waiting.append(frame)
                behind.add(frame.source)
            elif frame.tag == _LAST:
                self._finished.add(frame.source)
            else:
                self._arrived.append((frame.source, frame.parts))
        self._arriving = waiting


@dataclass
class _Arriving:
    """A frame of which something may still be on its way."""

    source: int
    tag: int
    parts: list[bytearray]
    requests: list[MPI.Request]

    def is_here(self, bodies: MPI.Intracomm) -> bool:
        if not MPI.Request.Testall(self.requests):
            return False
        if self.tag != _MANY:
            return True
        self.tag = _ONE
        self.parts = [bytearray(size) for (size,) in _SIZE.iter_unpack(self.parts[0])]
        self.requests = [
            bodies.Irecv([piece, MPI.BYTE], self.source, 0)
            for part in self.parts
            for piece in _pieces(part)
        ]
        return bool(MPI.Request.Testall(self.requests))


def _pieces(part: bytes | bytearray) -> Iterator[memoryview]:
    view = memoryview(part)
    for start in range(0, view.nbytes, PIECE_BYTES):
        yield view[start : start + PIECE_BYTES]
