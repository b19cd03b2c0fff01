"""`SharedMemoryTransport`: large buffers through shared memory, all else by another transport.

The sender copies a large part into its arena and sends its position.  The receiver copies the part
out, or, if it is an array's or an Arrow buffer's, borrows the block; it reports released blocks
together with the next frame that it sends to the same rank.  An array that is sent on as it came is
not copied: its block is lent to the next receiver, which reports the release to its lender, as that
one does then.  Parts for which the arena has no room are sent by the other transport.
"""

from __future__ import annotations

import struct
from collections.abc import Container, Mapping, Sequence
from ctypes import addressof
from time import monotonic
from typing import Any

from d4py_fixed.engine.transport import LARGE_BYTES, MessageParts, Transport
from d4py_fixed.shared_memory.arena import Arena
from d4py_fixed.shared_memory.borrowed_blocks import BorrowedBlocks, ReadBlocks
from d4py_fixed.shared_memory.kept_blocks import KeptBlocks
from dispel4py.engine.execution.pickled_items import Kept, copy_buffer
from dispel4py.engine.items.arrays import is_array
from dispel4py.engine.items.unreachable_items import PrivateMemory, block_of
from dispel4py.shared_memory.arena_file import ArenaFile

_NUMBER = struct.Struct("!Q")
_POSITION = struct.Struct("!QQ?")
#: The lower bits of a handle.
_OFFSET_BITS = 48

Part = bytes | bytearray | memoryview


class SharedMemory:
    """What a rank has of the memory that it shares with others; several runs may use it in turn.

    Blocks have handles: the offset, and in the upper bits the rank of the arena plus 1, or 0 for
    the arena of the rank that lends the block.

    Args:
        arena: of this rank; without one it sends everything by the other transport, and copies
            what it receives.  The driver has none, since its caller may keep what it receives.
        files: other ranks → their arenas.
        opened: other ranks → those of which they have opened the arena, if that can fail; else each
            has the arenas of all ranks from which its items come, over whatever hops.

    Attributes:
        arena: see the arguments.
        files: see the arguments.
        lenders: the ranks from which this one has had blocks, now and later.
    """

    def __init__(
        self,
        arena: Arena | None,
        files: Mapping[int, ArenaFile],
        opened: Mapping[int, Container[int]] | None = None,
    ) -> None:
        self.arena = arena
        self._kept = None if arena is None else KeptBlocks(arena)
        self.files = files
        self.lenders: dict[int, None] = {}
        self._opened = opened
        self._borrowed: dict[int, BorrowedBlocks | ReadBlocks] = {}
        self._lent: dict[int, PrivateMemory] = {}

    def keep(self, view: memoryview) -> Kept:
        """Return a copy of a large buffer for a frame to be sent later."""
        if self._kept is None:
            return copy_buffer(view)
        return self._kept.keep(view, may_stay=_may_stay(view.obj))

    def put(self, view: memoryview, receiver: int) -> tuple[int, bool] | None:
        """Return the handle of a block that holds a large part of a frame; None without room.

        Args:
            view: the part.
            receiver: the rank to which the frame is sent.

        Returns:
            The handle, and whether the part may stay in the block; None if there is no room.
        """
        if self._kept is None or self.arena is None:
            return None
        if (kept := self._kept.take(view)) is not None:
            return kept
        handle = self._lend(view, receiver) if self._borrowed else None
        if handle is None:
            handle = self.arena.put(view)
        return None if handle is None else (handle, _may_stay(view.obj))

    def _lend(self, view: memoryview, receiver: int) -> int | None:
        """Return the handle of the borrowed block that a part is in; None if it is to be copied."""
        block: Any = block_of(view)
        if block is None or not self._are_sharing(block.owner, receiver):
            return None
        array: Any = view.obj
        start = array.__array_interface__["data"][0] - addressof(block)
        handle: int = (block.owner + 1) << _OFFSET_BITS | (block.offset + start)
        if handle in self._lent:  # a part of a block that was lent, and has come back
            return None
        self._lent[handle] = block
        return handle

    def _are_sharing(self, owner: int, receiver: int) -> bool:
        """Return whether a rank can use blocks of another one's arena."""
        if owner == receiver:
            return False  # its handles would be those of blocks that it has put there
        opened = self._opened
        return opened is None or (
            owner in opened.get(receiver, ()) and receiver in opened.get(owner, ())
        )

    def take(self, lender: int, handle: int, size: int, *, may_stay: bool) -> Part:
        """Return a part of a frame that has arrived.

        Args:
            lender: the rank that has sent the frame.
            handle: of the part's block.
            size: of the part.
            may_stay: the part may stay in the block.
        """
        self.lenders[lender] = None
        owner, offset = divmod(handle, 1 << _OFFSET_BITS)
        blocks = self._blocks_of(owner - 1 if owner else lender)
        take = blocks.borrow if may_stay else blocks.copy
        return take(lender, offset, size)

    def take_released(self, lender: int) -> list[int]:
        """Return the handles of a lender's blocks that were released since the last call."""
        released = []
        if lender in self.lenders:
            for rank, blocks in self._borrowed.items():
                owner = 0 if rank == lender else rank + 1
                offsets = blocks.take_released(lender)
                released += [owner << _OFFSET_BITS | offset for offset in offsets]
        return released

    def release(self, handle: int) -> None:
        """Take back a block that was lent."""
        if handle >> _OFFSET_BITS:
            del self._lent[handle]
        else:
            assert self.arena is not None
            self.arena.release(handle)

    def _blocks_of(self, rank: int) -> BorrowedBlocks | ReadBlocks:
        """Return the blocks of another rank's arena that this one has borrowed."""
        if rank not in self._borrowed:
            file = self.files[rank]
            most_bytes = 0 if self.arena is None else file.limits.most_borrowed_bytes
            try:
                self._borrowed[rank] = BorrowedBlocks(file.map(), most_bytes, rank)
            except OSError:  # a limit on address space (ulimit -v)
                self._borrowed[rank] = ReadBlocks(file.fd)
        return self._borrowed[rank]


class SharedMemoryTransport:
    """See `Transport`.

    Each frame is preceded by a header: the handles of the receiver's blocks that were released, and
    for each part of the frame the handle and size of its block (a size of 0 if the part follows),
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

    def keep(self, view: memoryview) -> Kept:
        """Return a copy of a large buffer for a frame to be sent later."""
        return self._memory.keep(view)

    def send(self, rank: int, parts: MessageParts) -> None:
        if rank in self._apart:
            self._inner.send(rank, parts)
            return
        positions, rest = bytearray(), []
        for part in parts:
            view = memoryview(part)
            place = self._memory.put(view, rank) if view.nbytes >= LARGE_BYTES else None
            if place is None:
                rest.append(part)
                positions += _POSITION.pack(0, 0, False)
            else:
                handle, may_stay = place
                positions += _POSITION.pack(handle, view.nbytes, may_stay)
        released = _encode_released(self._memory.take_released(rank))
        self._inner.send(rank, [released + positions, *rest])

    def receive(self, seconds: float) -> tuple[int, MessageParts] | None:
        lenders = self._memory.lenders
        until = monotonic() + seconds if seconds else 0.0
        # Where no block was borrowed, there will be none to report before a wait.
        arrived = self._inner.receive(0.0 if lenders else seconds)
        while arrived is None or (frame := self.open(*arrived)) is None:
            # About to wait: no frame that released blocks could be reported with will follow soon.
            for rank in lenders:
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
        for (handle,) in _NUMBER.iter_unpack(header[_NUMBER.size : end]):
            memory.release(handle)
        opened: list[Part] = [
            memory.take(rank, handle, size, may_stay=may_stay) if size else next(rest)
            for handle, size, may_stay in _POSITION.iter_unpack(header[end:])
        ]
        return (rank, opened) if opened else None


def _encode_released(handles: Sequence[int]) -> bytearray:
    """Return the header of a frame without parts."""
    return bytearray(struct.pack(f"!{1 + len(handles)}Q", len(handles), *handles))


def _may_stay(owner: object) -> bool:
    """Return whether whatever is unpickled with a part refers to its memory as long as it lives.

    So do NumPy's arrays, and Arrow's, which polars' frames are pickled as.  Anything else may be
    handed out as it is, and is to be an object of its own then.
    """
    kind = type(owner)
    is_of_arrow = kind.__module__ == "pyarrow.lib" and kind.__name__.endswith("Buffer")
    return is_of_arrow or is_array(owner)
