"""Kept blocks: memory in a rank's own arena, with large buffers of items that wait to be sent.

An item that is pickled when it is written has its large buffers copied here at once, so that they
are not copied again when it is sent.  The block of an item that is never sent is freed.
"""

from __future__ import annotations

import ctypes
import weakref
from functools import cache
from typing import Any

from d4py_fixed.shared_memory.arena import Arena
from dispel4py.engine.pickled_items import Kept, copy_buffer


class _Block:
    """Base of blocks.

    Attributes:
        offset: where in the arena the block is.
        may_stay: see `SharedMemory.take`.
    """

    __slots__ = ()

    offset: int
    may_stay: bool


class KeptBlocks:
    """The blocks of one arena that hold buffers of items which wait to be sent.

    Args:
        arena: the arena.
    """

    def __init__(self, arena: Arena) -> None:
        self._arena = arena
        self._kept: dict[int, weakref.ref[_Block]] = {}  # by offset

    def keep(self, view: memoryview, *, may_stay: bool) -> Kept:
        """Return a copy of a buffer: in a block, or, without room, in memory of this process.

        Args:
            view: the buffer.
            may_stay: see `SharedMemory.take`.
        """
        size = view.nbytes
        at = self._arena.put(view)
        if at is None:
            return copy_buffer(view)
        room = 1 << (size - 1).bit_length()  # rounded up, since each size is a type of its own
        if at + room > len(self._arena.memory):
            self._arena.release(at)
            return copy_buffer(view)
        block = _block_type(room).from_buffer(self._arena.memory, at)
        block.offset, block.may_stay = at, may_stay
        self._kept[at] = weakref.ref(block, lambda _: self._drop(at))
        return memoryview(block).cast("B")[:size]

    def _drop(self, at: int) -> None:
        """Free a block whose item is not sent: it was skipped, or the run has ended."""
        del self._kept[at]
        self._arena.release(at)

    def take(self, view: memoryview) -> tuple[int, bool] | None:
        """Take the block of a buffer, which is released by its receiver then.

        Args:
            view: the buffer, as pickle gives it out.

        Returns:
            The offset of the block, and whether the buffer may stay there; None if it is not in one
            of these blocks.
        """
        owner = view.obj
        while type(owner) is memoryview:
            owner = owner.obj
        if not issubclass(type(owner), _Block):
            return None
        block: Any = owner
        del self._kept[block.offset]
        return block.offset, block.may_stay


@cache
def _block_type(size: int) -> Any:
    """Return the type of blocks of a size."""
    return type("KeptBlock", (ctypes.c_char * size, _Block), {})
