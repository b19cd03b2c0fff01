"""`SharedMemoryTransport`: large buffers through shared memory, all else by another transport.

The sender copies a large part into its arena and sends its position.  The receiver copies the part
out, or, if it is an array, borrows the block; it reports released blocks together with the next
frame that it sends to the same rank.  Parts for which the arena has no room are sent by the other
transport.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from time import monotonic

from d4py_fixed.engine.transport import LARGE_BYTES, MessageParts, Transport
from d4py_fixed.shared_memory.arena import Arena
from d4py_fixed.shared_memory.borrowed_blocks import BorrowedBlocks
from dispel4py.engine.unique_arrays import is_array
from dispel4py.shared_memory.arena_file import ArenaFile

_NUMBER = struct.Struct("!Q")
_POSITION = struct.Struct("!QQ?")

Part = bytes | bytearray | memoryview


class SharedMemoryTransport:
    """See `Transport`.

    Each frame is preceded by a header: the blocks of the receiver's arena that were released, and
    for each part of the frame the offset and size of its block (a size of 0 if the part follows),
    and whether it is an array.

    Args:
        inner: carries the header and all other parts.
        files: the arenas of this rank and of its peers.  The driver has no arena: it sends
            everything by `inner`, and copies what it receives, since its caller may keep that.
        rank: number of this rank.
    """

    def __init__(self, inner: Transport, files: Mapping[int, ArenaFile], rank: int) -> None:
        self._inner = inner
        self._files = files
        self._arena = Arena(files[rank]) if rank in files else None
        self._borrowed: dict[int, BorrowedBlocks] = {}

    def send(self, rank: int, parts: MessageParts) -> None:
        positions, rest = bytearray(), []
        for part in parts:
            view = memoryview(part)
            offset = None
            if view.nbytes >= LARGE_BYTES and self._arena is not None:
                offset = self._arena.put(view)
            if offset is None:
                rest.append(part)
                positions += _POSITION.pack(0, 0, False)
            else:
                positions += _POSITION.pack(offset, view.nbytes, is_array(view.obj))
        borrowed = self._borrowed.get(rank)
        released = borrowed.take_released() if borrowed else ()
        self._inner.send(rank, [_encode_released(released) + positions, *rest])

    def receive(self, seconds: float) -> tuple[int, MessageParts] | None:
        until = monotonic() + seconds
        arrived = self._inner.receive(0.0)
        while True:
            if arrived is not None:
                rank, (header, *rest) = arrived
                parts = self._open(rank, memoryview(header), rest)
                if parts:
                    return rank, parts
            # About to wait: no frame that released blocks could be reported with will follow soon.
            for rank, borrowed in self._borrowed.items():
                if released := borrowed.take_released():
                    self._inner.send(rank, [_encode_released(released)])
            if arrived is None and monotonic() >= until:
                return None
            arrived = self._inner.receive(max(0.0, until - monotonic()))

    def close(self) -> None:
        self._inner.close()

    def _open(self, rank: int, header: memoryview, rest: list[Part]) -> list[Part]:
        """Return the parts of a frame; none if it only reports released blocks."""
        end = _NUMBER.size * (1 + _NUMBER.unpack_from(header)[0])
        for (offset,) in _NUMBER.iter_unpack(header[_NUMBER.size : end]):
            assert self._arena is not None
            self._arena.release(offset)
        parts: list[Part] = []
        for offset, size, is_of_array in _POSITION.iter_unpack(header[end:]):
            if not size:
                parts.append(rest.pop(0))
            elif is_of_array:
                parts.append(self._blocks_of(rank).borrow(offset, size))
            else:
                parts.append(self._blocks_of(rank).copy(offset, size))
        return parts

    def _blocks_of(self, rank: int) -> BorrowedBlocks:
        if rank not in self._borrowed:
            file = self._files[rank]
            most_bytes = 0 if self._arena is None else file.limits.most_borrowed_bytes
            self._borrowed[rank] = BorrowedBlocks(file.map(), most_bytes)
        return self._borrowed[rank]


def _encode_released(offsets: Sequence[int]) -> bytearray:
    """Return the header of a frame without parts."""
    return bytearray(struct.pack(f"!{1 + len(offsets)}Q", len(offsets), *offsets))
