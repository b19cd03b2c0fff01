"""Large buffers through shared memory: a `Transport` around another one of the same machine.

The sender copies a large part into its arena and sends where it lies.  The receiver copies it out,
or, if it is an array, uses it there; when the block is free again it sends word of that, along with
what it sends next.  What finds no room goes the ordinary way.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from time import monotonic

from d4py_fixed.engine.transport import MessageParts, Transport
from d4py_fixed.shared_memory.arena import Arena, ArenaFile
from d4py_fixed.shared_memory.borrowed_blocks import MOST_LENT_BYTES, BorrowedBlocks
from dispel4py.engine.unique_arrays import is_array

#: MessageParts of at least so many bytes go through shared memory.
_LARGE_BYTES = 1 << 15
_NUMBER = struct.Struct("!Q")
_PLACE = struct.Struct("!QQ?")

Part = bytes | bytearray | memoryview


class SharedBuffers:
    """See `Transport`.

    In front of each frame goes a part that says which blocks of the receiver are free again, and
    where each part of the frame is: its block's offset and size, or a size of 0 if it follows, and
    whether it is an array's.

    Args:
        inner: carries the rest.
        files: the arenas of this rank and of those that it speaks with; the driver has none,
            sends everything by `inner`, and copies what it gets, since its caller may keep that.
        rank: number of this rank.
    """

    def __init__(self, inner: Transport, files: Mapping[int, ArenaFile], rank: int) -> None:
        self._inner = inner
        self._files = files
        self._arena = Arena(files[rank]) if rank in files else None
        self._lenders: dict[int, BorrowedBlocks] = {}

    def send(self, rank: int, parts: MessageParts) -> None:
        places, carried = bytearray(), []
        for part in parts:
            view = memoryview(part)
            offset = None
            if view.nbytes >= _LARGE_BYTES and self._arena is not None:
                offset = self._arena.put(view)
            if offset is None:
                carried.append(part)
                places += _PLACE.pack(0, 0, False)
            else:
                places += _PLACE.pack(offset, view.nbytes, is_array(view.obj))
        lender = self._lenders.get(rank)
        self._inner.send(rank, [_word(lender.read() if lender else ()) + places, *carried])

    def receive(self, seconds: float) -> tuple[int, MessageParts] | None:
        until = monotonic() + seconds
        arrived = self._inner.receive(0.0)
        while True:
            if arrived is not None:
                rank, (front, *carried) = arrived
                parts = self._open(rank, memoryview(front), carried)
                if parts:
                    return rank, parts
            # About to wait: nothing will go that way soon that the word could go along with.
            for rank, lender in self._lenders.items():
                if read := lender.read():
                    self._inner.send(rank, [_word(read)])
            if arrived is None and monotonic() >= until:
                return None
            arrived = self._inner.receive(max(0.0, until - monotonic()))

    def close(self) -> None:
        self._inner.close()

    def _open(self, rank: int, front: memoryview, carried: list[Part]) -> list[Part]:
        """The parts of a frame; none if there was but the word of blocks that are free."""
        end = _NUMBER.size * (1 + _NUMBER.unpack_from(front)[0])
        for (offset,) in _NUMBER.iter_unpack(front[_NUMBER.size : end]):
            assert self._arena is not None
            self._arena.release(offset)
        parts: list[Part] = []
        for offset, size, is_of_array in _PLACE.iter_unpack(front[end:]):
            if not size:
                parts.append(carried.pop(0))
            elif is_of_array:
                parts.append(self._lender(rank).lend(offset, size))
            else:
                parts.append(self._lender(rank).copy(offset, size))
        return parts

    def _lender(self, rank: int) -> BorrowedBlocks:
        if rank not in self._lenders:
            most_bytes = 0 if self._arena is None else MOST_LENT_BYTES
            self._lenders[rank] = BorrowedBlocks(self._files[rank].map(), most_bytes)
        return self._lenders[rank]


def _word(read: Sequence[int]) -> bytearray:
    """Says which blocks of a rank are free again."""
    return bytearray(struct.pack(f"!{1 + len(read)}Q", len(read), *read))


def shared_recipe(
    recipe: Callable[[], Transport], files: Mapping[int, ArenaFile], rank: int
) -> Callable[[], Transport]:
    """A recipe for `SharedBuffers` around what another recipe makes; picklable as that one is."""
    return partial(_share, recipe, files, rank)


def _share(recipe: Callable[[], Transport], files: Mapping[int, ArenaFile], rank: int) -> Transport:
    return SharedBuffers(recipe(), files, rank)
