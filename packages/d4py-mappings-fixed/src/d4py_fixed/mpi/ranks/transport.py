"""`Transport` of an MPI rank: MPI to the other ranks, the control channel to the driver.

One thread at a time calls MPI, and never waits inside MPI, which would keep a core busy: the rank
probes for messages, and sleeps in between until it is notified.  A frame is one message, its head,
which has the sizes of all parts and the small parts themselves; large parts follow by another
communicator.
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import inf
from time import monotonic
from typing import Any

from mpi4py import MPI

from d4py_fixed.engine.transport import MessageParts
from d4py_fixed.mpi.control_channel import DRIVER, ControlChannels, Kind
from d4py_fixed.mpi.limits import MpiLimits
from d4py_fixed.mpi.ranks.wakeup_socket import WakeupSocket
from dispel4py.exceptions.unwinding import Unwind

#: Tags: the head of a frame, and the last message of a run.
_HEAD, _LAST = 1, 2
_COUNT = struct.Struct("!I")
#: Of a part: its size, and whether it is in the head.
_PART = struct.Struct("!Q?")


class RunStopped(Unwind):
    """The driver has stopped the run, or has ended."""


class MpiTransport:
    """See `Transport`.

    Args:
        frames: a communicator of all ranks for nothing but frames.
        bodies: another one, for parts of frames.
        channels: to the driver.
        wakeup: of this rank.
        ranks: number of ranks in the run, which is the driver's number for the engine.
        limits: see `MpiLimits`.
    """

    def __init__(
        self,
        frames: MPI.Intracomm,
        bodies: MPI.Intracomm,
        channels: ControlChannels,
        wakeup: WakeupSocket,
        ranks: int,
        limits: MpiLimits = MpiLimits(),
    ) -> None:
        self._frames, self._bodies = frames, bodies
        self._channels = channels
        self._wakeup = wakeup
        self._driver = ranks
        self._piece_bytes, self._joined_bytes = limits.piece_bytes, limits.joined_bytes
        self._arrived: deque[tuple[int, MessageParts]] = deque()
        self._arriving: list[_ArrivingFrame] = []
        self._sending: deque[tuple[MPI.Request, Any]] = deque()
        self._ended: set[int] = set()
        self._status = MPI.Status()

    def send(self, rank: int, parts: MessageParts) -> None:
        if rank == self._driver:
            self._channels.send(DRIVER, Kind.FRAME, parts)
            return
        head, large = _join_small(parts, self._joined_bytes)
        self._isend(self._frames, head, rank, _HEAD)
        for part in large:
            # MPI reads it later, so that it must not change: only bytes cannot.
            data = part if isinstance(part, bytes) else bytes(part)
            for piece in _pieces(data, self._piece_bytes):
                self._isend(self._bodies, piece, rank, 0)
        self._wakeup.notify(rank)

    def receive(self, seconds: float) -> tuple[int, MessageParts] | None:
        """Return the next frame; see `Transport`.

        Raises:
            RunStopped: the driver has stopped the run, or has ended.
        """
        until = monotonic() + seconds
        while not self._arrived:
            self._progress()
            # The driver's channel is read only when MPI has nothing, which saves a system call for
            # each frame.  That delays a stop by no more than the frames in flight, which credits
            # limit.
            if self._arrived:
                break
            self._receive_from_driver()
            left = until - monotonic()
            if self._arrived or left <= 0:
                break
            self._wait(left)
        if not self._arrived:
            return None
        self._wakeup.shorten_pauses()
        return self._arrived.popleft()

    def drain(self, peers: Sequence[int]) -> list[tuple[int, MessageParts]]:
        """Wait until all that was sent has left, and all that was sent to this rank has arrived.

        The driver bounds the wait: if a rank is lost meanwhile, the driver stops the run.

        Args:
            peers: the ranks with which this one exchanges frames.

        Returns:
            The frames that were not received, each with its sender.

        Raises:
            RunStopped: the driver has stopped the run, or has ended.
        """
        for peer in peers:
            self._isend(self._frames, b"", peer, _LAST)
            self._wakeup.notify(peer)
        self._progress()
        while self._sending or self._arriving or not self._ended.issuperset(peers):
            self._wait()
            self._progress()
            self._receive_from_driver()
        left = [*self._arrived]
        self._arrived.clear()
        return left

    def close(self) -> None:
        """Do nothing: the next run uses the same communicators and channels."""

    def _wait(self, seconds: float = inf) -> None:
        self._wakeup.wait(seconds, in_transfer=bool(self._sending or self._arriving))

    def _isend(self, by: MPI.Intracomm, data: bytes | memoryview, rank: int, tag: int) -> None:
        request = by.Isend([data, MPI.BYTE], rank, tag)
        if not request.Test():
            self._sending.append((request, data))

    def _progress(self) -> None:
        """Receive what has come by MPI, and forget what has been sent."""
        while self._sending and self._sending[0][0].Test():
            self._sending.popleft()
        while (found := self._frames.Improbe(status=self._status)) is not None:
            head = bytearray(self._status.Get_count(MPI.BYTE))
            request = found.Irecv([head, MPI.BYTE])
            source, is_last = self._status.Get_source(), self._status.Get_tag() == _LAST
            self._arriving.append(_ArrivingFrame(source, is_last, head, [request]))
        if self._arriving:
            self._deliver()

    def _receive_from_driver(self) -> None:
        while (message := self._channels.receive(0.0)) is not None:
            if message.kind != Kind.FRAME:
                raise RunStopped
            self._arrived.append((self._driver, message.parts))
        if self._channels.disconnected:
            raise RunStopped

    def _deliver(self) -> None:
        """Deliver the frames that are complete; those of one rank stay in order."""
        incomplete: list[_ArrivingFrame] = []
        blocked: set[int] = set()
        for frame in self._arriving:
            if frame.source in blocked or not frame.is_complete(self._bodies, self._piece_bytes):
                incomplete.append(frame)
                blocked.add(frame.source)
            elif frame.is_last:
                self._ended.add(frame.source)
            else:
                self._arrived.append((frame.source, frame.parts))
        self._arriving = incomplete


@dataclass
class _ArrivingFrame:
    """A frame of which parts may not have arrived yet."""

    source: int
    is_last: bool
    head: bytearray
    requests: list[MPI.Request]
    parts: Sequence[bytearray | memoryview] = ()

    def is_complete(self, bodies: MPI.Intracomm, piece_bytes: int) -> bool:
        """Return whether all parts have arrived; request them once their sizes are known."""
        if not MPI.Request.Testall(self.requests):
            return False
        if self.is_last or self.parts:
            return True
        self.parts, large = _split_head(self.head)
        self.requests = [
            bodies.Irecv([piece, MPI.BYTE], self.source, 0)
            for part in large
            for piece in _pieces(part, piece_bytes)
        ]
        return bool(MPI.Request.Testall(self.requests))


def _join_small(parts: MessageParts, most_bytes: int) -> tuple[bytes, list[bytes | memoryview]]:
    """Return the head of a frame, and the parts that follow it.

    Args:
        parts: the parts of the frame.
        most_bytes: what is joined, at most.
    """
    sizes = [_COUNT.pack(len(parts))]
    joined, large = [], []
    for part in parts:
        view = memoryview(part).cast("B")
        is_joined = view.nbytes <= most_bytes
        if is_joined:
            most_bytes -= view.nbytes
            joined.append(view)
        else:
            large.append(part if isinstance(part, bytes) else view)
        sizes.append(_PART.pack(view.nbytes, is_joined))
    return b"".join([*sizes, *joined]), large


def _split_head(head: bytearray) -> tuple[list[bytearray | memoryview], list[bytearray]]:
    """Return the parts of a frame, and those of them that follow the head."""
    view = memoryview(head)
    start = _COUNT.size + _PART.size * _COUNT.unpack_from(head)[0]
    parts: list[bytearray | memoryview] = []
    large = []
    for size, is_joined in _PART.iter_unpack(view[_COUNT.size : start]):
        if is_joined:
            parts.append(view[start : start + size])
            start += size
        else:
            large.append(bytearray(size))
            parts.append(large[-1])
    return parts, large


def _pieces(part: bytes | bytearray, piece_bytes: int) -> Iterator[memoryview]:
    view = memoryview(part)
    for start in range(0, view.nbytes, piece_bytes):
        yield view[start : start + piece_bytes]
