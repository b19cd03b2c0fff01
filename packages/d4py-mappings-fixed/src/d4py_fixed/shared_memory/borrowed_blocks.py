"""Borrowed blocks: memory in another rank's arena, used by the arrays that were received in it.

A large array stays where its sender has put it, and the block is not used otherwise until the array
is garbage: the finalizer of the last array in a block releases the block.  An array that is sent on
as it came stays there, too: its block is lent to the receiver, and released once that has released
it.  A process that is forked meanwhile gets a private copy, as it does of all other memory.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import weakref
from collections import deque
from functools import cache
from typing import Any

from dispel4py.engine.items.unreachable_items import PrivateMemory

_MAP_FIXED = 0x10  # Linux and macOS; Python's mmap does not export it


class BorrowedBlocks:
    """The blocks of one arena that this process has borrowed, each from a lender: a rank.

    Args:
        memory: the arena.
        most_bytes: bytes that may be borrowed at once; what exceeds them is copied.
        owner: the rank of the arena.
    """

    def __init__(self, memory: mmap.mmap, most_bytes: int, owner: int) -> None:
        self._memory = memory
        self._most_bytes = most_bytes
        self._owner = owner
        self._borrowed: dict[int, tuple[weakref.ref[Any], int]] = {}  # by offset, with the size
        self._borrowed_bytes = 0
        self._garbage: dict[int, deque[int]] = {}  # appended to by finalizers, in any thread
        self._copied: dict[int, list[int]] = {}
        self._snapshot: list[tuple[int, bytes]] = []
        _ALL.add(self)

    def borrow(self, lender: int, offset: int, size: int) -> memoryview | bytearray:
        """Return the memory of a block for an array: the block itself, or a copy."""
        # Rounded up, since each size is a type of its own; the view below is cut to the block.
        room = 1 << (size - 1).bit_length()
        if (
            offset in self._borrowed  # this rank has lent the block, which has come back
            or self._borrowed_bytes + size > self._most_bytes
            or offset + room > len(self._memory)
        ):
            return self.copy(lender, offset, size)
        block = _block_type(room).from_buffer(self._memory, offset)
        block.owner, block.offset = self._owner, offset
        garbage = self._garbage.setdefault(lender, deque())
        self._borrowed[offset] = weakref.ref(block, lambda _: garbage.append(offset)), size
        self._borrowed_bytes += size
        return memoryview(block).cast("B")[:size]

    def copy(self, lender: int, offset: int, size: int) -> bytearray:
        """Return a copy of a block, which is released by that."""
        self._copied.setdefault(lender, []).append(offset)
        return bytearray(memoryview(self._memory)[offset : offset + size])

    def take_released(self, lender: int) -> list[int]:
        """Return the offsets of a lender's blocks that were released since the last call."""
        released = self._copied.pop(lender, [])
        garbage = self._garbage.get(lender)
        while garbage:
            offset = garbage.popleft()
            self._borrowed_bytes -= self._borrowed.pop(offset)[1]
            released.append(offset)
        return released

    def before_fork(self) -> None:
        view = memoryview(self._memory)
        borrowed = list(self._borrowed.items())
        self._snapshot = [
            (offset, bytes(view[offset : offset + size])) for offset, (_, size) in borrowed
        ]

    def after_fork(self, *, in_child: bool) -> None:
        snapshot, self._snapshot = self._snapshot, []
        if in_child and snapshot:
            _make_private(self._memory)
            for offset, data in snapshot:
                self._memory[offset : offset + len(data)] = data


class ReadBlocks:
    """The blocks of an arena that this process cannot map: it reads copies of them.

    Args:
        file: descriptor of the arena's file.
    """

    def __init__(self, file: int) -> None:
        self._file = file
        self._copied: dict[int, list[int]] = {}

    def borrow(self, lender: int, offset: int, size: int) -> bytearray:
        """Return a copy of a block."""
        return self.copy(lender, offset, size)

    def copy(self, lender: int, offset: int, size: int) -> bytearray:
        """Return a copy of a block, which is released by that."""
        self._copied.setdefault(lender, []).append(offset)
        return bytearray(os.pread(self._file, size, offset))

    def take_released(self, lender: int) -> list[int]:
        """Return the offsets of a lender's blocks that were released since the last call."""
        return self._copied.pop(lender, [])


@cache
def _block_type(size: int) -> Any:
    """Return the type of a block; `owner` and `offset` say which block of which rank it is."""
    return type("Block", (ctypes.c_char * size, PrivateMemory), {"watchers": 1})


def _make_private(memory: mmap.mmap) -> None:
    """Replace shared memory by private memory, which is all zero."""
    start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    map_memory = ctypes.CDLL(None, use_errno=True).mmap
    map_memory.restype = ctypes.c_void_p
    map_memory.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
    how = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _MAP_FIXED
    access = mmap.PROT_READ | mmap.PROT_WRITE
    if map_memory(start, len(memory), access, how, -1, 0) != start:
        raise OSError(ctypes.get_errno(), "a forked process cannot map private memory")


_ALL: weakref.WeakSet[BorrowedBlocks] = weakref.WeakSet()


def _before_fork() -> None:
    for blocks in list(_ALL):
        blocks.before_fork()


def _after_fork(*, in_child: bool) -> None:
    for blocks in list(_ALL):
        blocks.after_fork(in_child=in_child)


os.register_at_fork(
    before=_before_fork,
    after_in_parent=lambda: _after_fork(in_child=False),
    after_in_child=lambda: _after_fork(in_child=True),
)
