"""Arenas: memory that the ranks of one machine share; each rank allocates from its own only."""

from __future__ import annotations

import os
from collections import deque
from threading import Lock
from typing import Self

from dispel4py.shared_memory.arena_file import ArenaFile, ArenaMemory

#: Blocks begin at multiples of this.
_ALIGNMENT = 64


class Arena:
    """A first-fit allocator of blocks; used by the rank that the arena belongs to, by any thread.

    Args:
        file: the arena's file.

    Attributes:
        memory: the arena.
    """

    def __init__(self, file: ArenaFile) -> None:
        self._arena = ArenaMemory(file)
        self.memory = memoryview(self._arena.memory)
        # (offset, size), by offset.
        self._free: list[tuple[int, int]] = [(0, file.limits.arena_bytes)]
        self._sizes: dict[int, int] = {}
        self._released: deque[int] = deque()
        self._lock = Lock()
        self._pid = os.getpid()

    @classmethod
    def of(cls, file: ArenaFile | None) -> Self | None:
        """Return the arena of a file; None without one, or without address space for it."""
        try:
            return None if file is None else cls(file)
        except OSError:
            return None

    @property
    def is_empty(self) -> bool:
        """Whether no block is in use."""
        return len(self._released) == len(self._sizes)

    def put(self, data: memoryview) -> int | None:
        """Copy bytes into a block and return its offset.

        Returns:
            None if there is no room; while another thread, or code that a finalizer of this one
            interrupts, is doing the same; or in a process that this one has forked.
        """
        if os.getpid() != self._pid or not self._lock.acquire(blocking=False):
            return None
        try:
            while self._released:
                self._free_block(self._released.popleft())
            offset = self._allocate(-(-data.nbytes // _ALIGNMENT) * _ALIGNMENT)
        finally:
            self._lock.release()
        if offset is not None:
            self.memory[offset : offset + data.nbytes] = data.cast("B")
        return offset

    def release(self, offset: int) -> None:
        """Free a block; a finalizer may call this at any time."""
        self._released.append(offset)

    def _allocate(self, size: int) -> int | None:
        i = next((i for i, (_, room) in enumerate(self._free) if room >= size), None)
        if i is None:
            return None
        offset, room = self._free[i]
        if not self._arena.allocate(offset + size):
            return None
        self._free[i : i + 1] = [(offset + size, room - size)] if room > size else []
        self._sizes[offset] = size
        return offset

    def _free_block(self, offset: int) -> None:
        size = self._sizes.pop(offset)
        i = next((i for i, (o, _) in enumerate(self._free) if o > offset), len(self._free))
        self._free.insert(i, (offset, size))
        for left in (i, i - 1):  # join with the free neighbours on both sides
            if 0 <= left < len(self._free) - 1:
                (o1, s1), (o2, s2) = self._free[left : left + 2]
                if o1 + s1 == o2:
                    self._free[left : left + 2] = [(o1, s1 + s2)]
