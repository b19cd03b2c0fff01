"""`SharedMemoryTransport`: large buffers through shared memory, all else by another transport.

The sender copies a large part into its arena and sends its position.  The receiver copies the part
out, or, if it is an array's or an Arrow buffer's, borrows the block; it reports released blocks
together with the next frame that it sends to the same rank.  Parts for which the arena has no room
are sent by the other transport.
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Container, Mapping, Sequence
from time import monotonic

from d4py_fixed.engine.transport import LARGE_BYTES, MessageParts, Transport
from d4py_fixed.shared_memory.arena import Arena
from d4py_fixed.shared_memory.borrowed_blocks import BorrowedBlocks, ReadBlocks
from dispel4py.engine.unique_arrays import is_array
from dispel4py.shared_memory.arena_file import ArenaFile

_NUMBER = struct.Struct("!Q")
_POSITION = struct.Struct("!QQ?")

Part = bytes | bytearray | memoryview


class SharedMemory:
    """What a rank has of the memory that it shares with others; several runs may use it in turn.

    Args:
        arena: of this rank; without one it sends everything by the other transport, and copies
            what it receives.  The driver has none, since its caller may keep what it receives.
        files: other ranks → their arenas.

    Attributes:
        arena: see the arguments.
        files: see the arguments.
        borrowed_from: the ranks from which this one has had blocks, now and later.
    """

    def __init__(self, arena: Arena | None, files: Mapping[int, ArenaFile]) -> None:
        self.arena = arena
        self.files = files
        self._borrowed: dict[int, BorrowedBlocks | ReadBlocks] = {}
        self.borrowed_from: Collection[int] = self._borrowed.keys()

    def blocks_of(self, rank: int) -> BorrowedBlocks | ReadBlocks:
        """Return the blocks of another rank that this one has borrowed."""
        if rank not in self._borrowed:
            file = self.files[rank]
            most_bytes = 0 if self.arena is None else file.limits.most_borrowed_bytes
            try:
                self._borrowed[rank] = BorrowedBlocks(file.map(), most_bytes)
            except OSError:  # a limit on address space (ulimit -v)
                self._borrowed[rank] = ReadBlocks(file.fd)
        return self._borrowed[rank]

    def take_released(self, rank: int) -> Sequence[int]:
        """Return the blocks of a rank that were released since the last call."""
        borrowed = self._borrowed.get(rank)
        return borrowed.take_released() if borrowed else ()


class SharedMemoryTransport:
    """See `Transport`.

    Each frame is preceded by a header: the blocks of the receiver's arena that were released, and
    for each part of the frame the offset and size of its block (a size of 0 if the part follows),
    and whether the receiver may leave it there.

    Args:
        inner: carries the header and all other parts.
        memory: of this rank.
        apart: ranks with which this one shares no memory; their frames have no header.
    """

    def __init__(
        self, inner: Transport, memory: SharedMemory, apart: Container[int] = frozenset()
    ) -> None:
        self._inner = inner
        self._memory = memory
        self._apart = apart

    def send(self, rank: int, parts: MessageParts) -> None:
        if rank in self._apart:
            self._inner.send(rank, parts)
            return
        arena = self._memory.arena
        positions, rest = bytearray(), []
        for part in parts:
            view = memoryview(part)
            offset = None
            if view.nbytes >= LARGE_BYTES and arena is not None:
                offset = arena.put(view)
            if offset is None:
                rest.append(part)
                positions += _POSITION.pack(0, 0, False)
            else:
                positions += _POSITION.pack(offset, view.nbytes, _may_stay(view.obj))
        released = _encode_released(self._memory.take_released(rank))
        self._inner.send(rank, [released + positions, *rest])

    def receive(self, seconds: float) -> tuple[int, MessageParts] | None:
        borrowed_from = self._memory.borrowed_from
        until = monotonic() + seconds if seconds else 0.0
        # Where no block was borrowed, there will be none to report before a wait.
        arrived = self._inner.receive(0.0 if borrowed_from else seconds)
        while arrived is None or (frame := self.open(*arrived)) is None:
            # About to wait: no frame that released blocks could be reported with will follow soon.
            for rank in borrowed_from:
                if rank not in self._apart and (released := self._memory.take_released(rank)):
                    self._inner.send(rank, [_encode_released(released)])
            left = until - monotonic()
            if arrived is None and left <= 0:
                return None
            arrived = self._inner.receive(max(0.0, left))
        return frame

    def close(self) -> None:
        self._inner.close()

    def open(self, rank: int, parts: MessageParts) -> tuple[int, MessageParts] | None:
        """Return a frame as it was sent; None if it only reports released blocks.

        Args:
            rank: its sender.
            parts: what has arrived.
        """
        if rank in self._apart:
            return rank, parts
        memory = self._memory
        header, rest = memoryview(parts[0]), iter(parts[1:])
        end = _NUMBER.size * (1 + _NUMBER.unpack_from(header)[0])
        for (offset,) in _NUMBER.iter_unpack(header[_NUMBER.size : end]):
            assert memory.arena is not None
            memory.arena.release(offset)
        opened: list[Part] = []
        for offset, size, may_stay in _POSITION.iter_unpack(header[end:]):
            if not size:
                opened.append(next(rest))
            elif may_stay:
                opened.append(memory.blocks_of(rank).borrow(offset, size))
            else:
                opened.append(memory.blocks_of(rank).copy(offset, size))
        return (rank, opened) if opened else None


def _encode_released(offsets: Sequence[int]) -> bytearray:
    """Return the header of a frame without parts."""
    return bytearray(struct.pack(f"!{1 + len(offsets)}Q", len(offsets), *offsets))


def _may_stay(owner: object) -> bool:
    """Return whether whatever is unpickled with a part refers to its memory as long as it lives.

    So do NumPy's arrays, and Arrow's, which polars' frames are pickled as.  Anything else may be
    handed out as it is, and is to be an object of its own then.
    """
    kind = type(owner)
    is_of_arrow = kind.__module__ == "pyarrow.lib" and kind.__name__.endswith("Buffer")
    return is_of_arrow or is_array(owner)
