"""Kept blocks: memory in a rank's own arena, with large buffers of items that wait to be sent.

An item that is pickled when it is written has its large buffers copied here at once, so that they
are not copied again when it is sent.  The block of an item that is never sent is freed.
"""

from __future__ import annotations

import weakref
from ctypes import Array, addressof, c_char
from typing import Any, NamedTuple

from d4py_fixed.shared_memory.arena import Arena
from dispel4py.engine.execution.pickled_items import Kept, copy_buffer


class _Kept(NamedTuple):
    """A block that is kept.

    Attributes:
        block: the block.
        may_stay: see `SharedMemory.take`.
    """

    block: weakref.ref[Any]
    may_stay: bool


class KeptBlocks:
    """The blocks of one arena that hold buffers of items which wait to be sent.

    Args:
        arena: the arena.
    """

    def __init__(self, arena: Arena) -> None:
        self._arena = arena
        self._kept: dict[int, _Kept] = {}  # by address
        self._start = addressof(c_char.from_buffer(arena.memory))

    def keep(self, view: memoryview, *, may_stay: bool) -> Kept:
        """Return a copy of a buffer: in a block, or, without room, in memory of this process.

        Args:
            view: the buffer.
            may_stay: see `SharedMemory.take`.
        """
        offset = self._arena.put(view)
        if offset is None:
            return copy_buffer(view)
        block = (c_char * view.nbytes).from_buffer(self._arena.memory, offset)
        at = self._start + offset
        self._kept[at] = _Kept(weakref.ref(block, lambda _: self._drop(at)), may_stay)
        return block

    def take(self, view: memoryview) -> tuple[int, bool] | None:
        """Take the block of a buffer, which is released by its receiver then.

        Args:
            view: the buffer, as pickle gives it out.

        Returns:
            The offset of the block, and whether the buffer may stay there; None if it is not in one
            of these blocks.
        """
        block = view.obj
        if not isinstance(block, Array):
            return None
        at = addressof(block)
        kept = self._kept.get(at)
        if kept is None or kept.block() is not block:
            return None
        del self._kept[at]
        return at - self._start, kept.may_stay

    def _drop(self, at: int) -> None:
        """Free a block whose item is not sent: it was skipped, or the run has ended."""
        del self._kept[at]
        self._arena.release(at - self._start)
