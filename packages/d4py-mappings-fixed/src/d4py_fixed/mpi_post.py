"""Carries messages between the ranks of an MPI world, and for the first one to the driver and back.

Whoever waits for a message, or is between two batches, looks after the post.  While a PE is at work
a helper thread does, so that large messages get through, and the first rank passes on what is
others'.  Nobody waits inside MPI: that would keep a core busy.
"""

from __future__ import annotations

import os
import struct
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic, sleep
from typing import Any

from mpi4py import MPI

from d4py_fixed.mpi_bell import Bell
from d4py_fixed.mpi_link import ALL, DRIVER, FOR_DRIVER, Kind, Link, Message
from d4py_fixed.transport import Parts

#: Seconds between two looks of the helper thread.
_HELPER_SECONDS = 0.005
#: Seconds between two looks of a rank that waits, where it can be rung for; and where it cannot, at
#: first and after a while.
_LONGEST_SLEEP, _SHORTEST_PAUSE, _LONGEST_PAUSE = 0.02, 20e-6, 500e-6
#: Seconds that a rank has to come out of a PE when all is over.
_GRACE_SECONDS = 0.3
#: MPI counts bytes by 32-bit numbers.
_PIECE_BYTES = 1 << 30
#: The tag of a message is its run and its kind; with `_MANY` the message is the sizes of parts that
#: follow.  MPI promises tags up to 32767.
_KINDS, _MANY = 16, 8
_SIZE = struct.Struct("!Q")


class Post:
    """The post of one rank.

    Args:
        world: the communicator of all ranks; all of them must make their post at once.
        link: to the driver; the first rank's carries messages, others' show that they live.
        may_exit: this process is ours: it may end while a PE is at work.

    Attributes:
        rank: number of this rank.
        size: number of ranks.
        stopped: number of the run that was given up last.
        end: exit status to end with, once all is over.
    """

    def __init__(self, world: MPI.Intracomm, link: Link | None, *, may_exit: bool) -> None:
        # PEs may use MPI themselves; what is ours goes by communicators of our own.
        self._heads, self._bodies = world.Dup(), world.Dup()
        self.rank, self.size = world.Get_rank(), world.Get_size()
        self.stopped = 0
        self.end: int | None = None
        self.orders: deque[Message] = deque()
        self._line, self._link = link, None if self.rank else link
        self._may_exit = may_exit
        self._frames: dict[int, deque[tuple[int, Parts]]] = {}
        self._sent: deque[tuple[MPI.Request, Any]] = deque()
        self._arriving: _Arriving | None = None
        self._status = MPI.Status()
        self._bell = Bell(world, self._link)
        self._waits = False
        self._lock = threading.Lock()
        self._looked_at = 0.0
        self._closed = threading.Event()
        self._helper = threading.Thread(target=self._help, name="d4py-post", daemon=True)
        if MPI.Query_thread() >= MPI.THREAD_SERIALIZED:
            self._helper.start()

    def send(self, kind: Kind, run: int, rank: int, parts: Parts) -> None:
        """Send a message to a rank or to the driver; nobody may change the parts any more."""
        with self._lock:
            if rank != DRIVER:
                self._send(Message(kind, run, rank, parts))
            elif self._link is not None:
                self._link.send(Message(kind, run, self.rank, parts))
            else:
                self._send(Message(kind, run, 0, parts))

    def frames(self, run: int) -> deque[tuple[int, Parts]]:
        """Frames of a run that have arrived, with the ranks that they come from."""
        with self._lock:
            for other in [number for number in self._frames if number != run]:
                del self._frames[other]
            return self._frames.setdefault(run, deque())

    def look(self) -> None:
        """Take in what has arrived and send what can be sent, without waiting."""
        with self._lock:
            self._looked_at = monotonic()
            self._look()

    def wait(self, ready: Callable[[], object], seconds: float) -> None:
        """Look after the post until something is the case, or for so long."""
        until, pause = monotonic() + seconds, _SHORTEST_PAUSE
        self._waits = True  # the helper must not take in what this is waiting for
        try:
            while True:
                self.look()
                left = until - monotonic()
                if ready() or left <= 0:
                    return
                if self._bell.can_all_ring and not self._sent and self._arriving is None:
                    self._bell.wait(min(left, _LONGEST_SLEEP))
                else:
                    sleep(pause)
                    pause = min(pause * 1.5, _LONGEST_PAUSE)
        finally:
            self._waits = False

    def close(self) -> bool:
        """See that what was sent leaves; no more after that.

        Returns:
            False if messages are under way that nobody will ever take, so that MPI cannot end well.
        """
        until = monotonic() + _GRACE_SECONDS
        while self._sent and monotonic() < until:
            self.look()
            sleep(0.001)
        self._closed.set()
        if self._helper.ident is not None:
            self._helper.join()
        if self._line is not None:
            self._line.close()
        self._bell.close()
        return not self._sent and self._arriving is None

    def _look(self) -> None:
        while self._sent and self._sent[0][0].Test():
            self._sent.popleft()
        while (message := self._receive()) is not None:
            if self._link is not None and message.kind in FOR_DRIVER:
                self._link.send(message)
            else:
                self._deliver(message)
        if self._link is not None:
            for message in self._link.move():
                if message.rank == 0:
                    self._deliver(message)
                else:
                    self._send(message)
            if self._link.closed and self.end is None:
                self._send(Message(Kind.END, 0, ALL, [b"\x01"]))

    def _deliver(self, message: Message) -> None:
        match message.kind:
            case Kind.PEER:
                self._frames.setdefault(message.run, deque()).append((message.rank, message.parts))
            case Kind.DRIVER:
                self._frames.setdefault(message.run, deque()).append((DRIVER, message.parts))
            case Kind.ORDERS:
                self.orders.append(message)
            case Kind.STOP:
                self.stopped = message.run
            case Kind.END:
                self.end = message.parts[0][0]

    def _send(self, message: Message) -> None:
        if message.rank == ALL:
            for rank in range(1, self.size):
                self._send(message._replace(rank=rank))
            self._deliver(message)
            return
        tag = message.run * _KINDS + message.kind
        sizes = [memoryview(part).nbytes for part in message.parts]
        if len(sizes) == 1 and sizes[0] <= _PIECE_BYTES:
            self._send_bytes(self._heads, message.parts[0], message.rank, tag)
            self._bell.ring(message.rank)
            return
        self._send_bytes(self._heads, b"".join(map(_SIZE.pack, sizes)), message.rank, tag + _MANY)
        for part in message.parts:
            for piece in _pieces(part):
                self._send_bytes(self._bodies, piece, message.rank, 0)
        self._bell.ring(message.rank)

    def _send_bytes(self, way: MPI.Intracomm, data: Any, rank: int, tag: int) -> None:
        request = way.Isend([data, MPI.BYTE], rank, tag)
        if not request.Test():
            self._sent.append((request, data))

    def _receive(self) -> Message | None:
        """The next message that is here completely."""
        arriving = self._arriving
        if arriving is None:
            found = self._heads.Improbe(MPI.ANY_SOURCE, MPI.ANY_TAG, self._status)
            if found is None:
                return None
            head = bytearray(self._status.Get_count(MPI.BYTE))
            request = found.Irecv([head, MPI.BYTE])
            arriving = _Arriving(self._status.source, self._status.tag, [head], [request])
        if not MPI.Request.Testall(arriving.requests):
            self._arriving = arriving
            return None
        if arriving.tag & _MANY:
            self._arriving = arriving.opened(self._bodies)
            return self._receive()
        self._arriving = None
        run, kind = divmod(arriving.tag, _KINDS)
        return Message(Kind(kind), run, arriving.source, arriving.parts)

    def _help(self) -> None:
        over_at = float("inf")
        while not self._closed.wait(_HELPER_SECONDS):
            with suppress(MPI.Exception):  # whoever looks next meets it too
                if not self._waits and monotonic() - self._looked_at > _HELPER_SECONDS:
                    self.look()
            if self.end is not None and self._may_exit:
                over_at = min(over_at, monotonic() + _GRACE_SECONDS)
                if monotonic() > over_at:
                    os._exit(self.end or 1)


@dataclass
class _Arriving:
    """A message of which something is still on its way."""

    source: int
    tag: int
    parts: list[bytearray]
    requests: list[MPI.Request]

    def opened(self, way: MPI.Intracomm) -> _Arriving:
        """What follows when this was the sizes of parts."""
        parts = [bytearray(size) for (size,) in _SIZE.iter_unpack(self.parts[0])]
        pieces = [piece for part in parts for piece in _pieces(part)]
        requests = [way.Irecv([piece, MPI.BYTE], self.source, 0) for piece in pieces]
        return _Arriving(self.source, self.tag - _MANY, parts, requests)


def _pieces(part: bytes | bytearray | memoryview) -> Iterator[memoryview]:
    view = memoryview(part).cast("B")
    for start in range(0, view.nbytes, _PIECE_BYTES):
        yield view[start : start + _PIECE_BYTES]
