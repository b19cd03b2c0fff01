"""Arenas: memory that the ranks of one machine share; each rank allocates from its own arena only.

An arena is an unnamed file, which vanishes when the last process that has it open ends, however
that process ends.
"""

from __future__ import annotations

import mmap
import os
import tempfile
from multiprocessing import reduction
from typing import Any

from d4py_fixed.shared_memory.limits import SharedMemoryLimits

#: Blocks begin at multiples of this.
_ALIGNMENT = 64


class ArenaFile:
    """The unnamed file of an arena; can be sent to worker processes.

    Args:
        limits: its size.

    Attributes:
        fd: the file descriptor; -1 when closed.
        limits: the same.
    """

    def __init__(self, limits: SharedMemoryLimits = SharedMemoryLimits()) -> None:
        if hasattr(os, "memfd_create"):
            self.fd = os.memfd_create("d4py-arena")
        else:
            with tempfile.TemporaryFile() as file:
                self.fd = os.dup(file.fileno())
        self.limits = limits
        os.ftruncate(self.fd, limits.arena_bytes)

    def map(self) -> mmap.mmap:
        """Map the file into memory."""
        return mmap.mmap(self.fd, self.limits.arena_bytes)

    def close(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def __getstate__(self) -> Any:
        return reduction.DupFd(self.fd), self.limits

    def __setstate__(self, state: Any) -> None:
        duplicate, self.limits = state
        self.fd = duplicate.detach()


class Arena:
    """A first-fit allocator of blocks; used by the rank that the arena belongs to.

    Args:
        file: the arena's file.
    """

    def __init__(self, file: ArenaFile) -> None:
        self._file = file
        self._memory = memoryview(file.map())
        self._allocated = 0
        self._step = file.limits.step_bytes
        # (offset, size), by offset.
        self._free: list[tuple[int, int]] = [(0, file.limits.arena_bytes)]
        self._sizes: dict[int, int] = {}

    def put(self, data: memoryview) -> int | None:
        """Copy bytes into a block and return its offset; None if there is no room."""
        size = -(-data.nbytes // _ALIGNMENT) * _ALIGNMENT
        i = next((i for i, (_, room) in enumerate(self._free) if room >= size), None)
        if i is None:
            return None
        offset, room = self._free[i]
        if not self._allocate(offset + size):
            return None
        self._free[i : i + 1] = [(offset + size, room - size)] if room > size else []
        self._sizes[offset] = size
        self._memory[offset : offset + data.nbytes] = data.cast("B")
        return offset

    def release(self, offset: int) -> None:
        """Free a block."""
        size = self._sizes.pop(offset)
        i = next((i for i, (o, _) in enumerate(self._free) if o > offset), len(self._free))
        self._free.insert(i, (offset, size))
        for left in (i, i - 1):  # join with the free neighbours on both sides
            if 0 <= left < len(self._free) - 1:
                (o1, s1), (o2, s2) = self._free[left : left + 2]
                if o1 + s1 == o2:
                    self._free[left : left + 2] = [(o1, s1 + s2)]

    def _allocate(self, size: int) -> bool:
        """Allocate memory up to an offset: a write to memory that is not there kills a process."""
        while self._allocated < size:
            try:
                _reserve(self._file.fd, self._allocated, self._step)
            except OSError:
                return False
            self._allocated += self._step
        return True


def _reserve(fd: int, offset: int, size: int) -> None:
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(fd, offset, size)
    else:  # macOS
        os.pwrite(fd, bytes(size), offset)
