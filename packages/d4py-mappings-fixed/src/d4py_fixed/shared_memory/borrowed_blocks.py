"""Blocks of another rank's arena, lent to whoever holds the arrays that lie in them.

The receiver of a large array uses it where its sender has put it, and nobody else does until it is
gone: the last array that lies in a block gives the block back by going away.  A process that is
forked meanwhile gets a copy of its own, as it does of all other memory.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import weakref
from collections import deque
from functools import cache
from typing import Any

from dispel4py.engine.unique_arrays import PrivateMemory

#: So many bytes of one arena are lent at a time, so that receivers who keep what they get leave
#: room for others.
MOST_LENT_BYTES = 16 << 20

_MAP_FIXED = 0x10  # Linux and macOS; Python's mmap does not say


class BorrowedBlocks:
    """Lends the blocks of one arena.

    Args:
        memory: the arena.
        most_bytes: what comes beyond is copied instead.
    """

    def __init__(self, memory: mmap.mmap, most_bytes: int = MOST_LENT_BYTES) -> None:
        self._memory = memory
        self._most_bytes = most_bytes
        self._lent: dict[int, tuple[weakref.ref[Any], int]] = {}  # by offset, with the size
        self._lent_bytes = 0
        self._ended: deque[int] = deque()  # by any thread, and in the middle of anything
        self._copied: list[int] = []
        self._snapshot: list[tuple[int, bytes]] = []
        _LENDERS.add(self)

    def lend(self, offset: int, size: int) -> memoryview | bytearray:
        """The bytes of a block for an array to lie in: the block itself, or a copy."""
        # Of few sizes, since each is a type; what lies behind the block is cut off below.
        room = 1 << (size - 1).bit_length()
        if self._lent_bytes + size > self._most_bytes or offset + room > len(self._memory):
            return self.copy(offset, size)
        block = _block_type(room).from_buffer(self._memory, offset)
        ended = self._ended
        self._lent[offset] = weakref.ref(block, lambda _: ended.append(offset)), size
        self._lent_bytes += size
        return memoryview(block).cast("B")[:size]

    def copy(self, offset: int, size: int) -> bytearray:
        """A copy of the bytes of a block, which is read by that."""
        self._copied.append(offset)
        return bytearray(memoryview(self._memory)[offset : offset + size])

    def read(self) -> list[int]:
        """Offsets of the blocks that nobody uses any more since the last call."""
        read, self._copied = self._copied, []
        while self._ended:
            offset = self._ended.popleft()
            self._lent_bytes -= self._lent.pop(offset)[1]
            read.append(offset)
        return read

    def before_fork(self) -> None:
        view = memoryview(self._memory)
        lent = list(self._lent.items())
        self._snapshot = [
            (offset, bytes(view[offset : offset + size])) for offset, (_, size) in lent
        ]

    def after_fork(self, *, in_child: bool) -> None:
        snapshot, self._snapshot = self._snapshot, []
        if in_child and snapshot:
            _make_private(self._memory)
            for offset, data in snapshot:
                self._memory[offset : offset + len(data)] = data


@cache
def _block_type(size: int) -> Any:
    return type("Block", (ctypes.c_char * size, PrivateMemory), {"watchers": 1})


def _make_private(memory: mmap.mmap) -> None:
    """Put memory of this process alone, all zero, where shared memory was."""
    start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    map_memory = ctypes.CDLL(None, use_errno=True).mmap
    map_memory.restype = ctypes.c_void_p
    map_memory.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
    how = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _MAP_FIXED
    access = mmap.PROT_READ | mmap.PROT_WRITE
    if map_memory(start, len(memory), access, how, -1, 0) != start:
        raise OSError(ctypes.get_errno(), "a forked process got no memory of its own")


_LENDERS: weakref.WeakSet[BorrowedBlocks] = weakref.WeakSet()


def _before_fork() -> None:
    for lender in list(_LENDERS):
        lender.before_fork()


def _after_fork(*, in_child: bool) -> None:
    for lender in list(_LENDERS):
        lender.after_fork(in_child=in_child)


os.register_at_fork(
    before=_before_fork,
    after_in_parent=lambda: _after_fork(in_child=False),
    after_in_child=lambda: _after_fork(in_child=True),
)
