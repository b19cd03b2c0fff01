"""Memory that the ranks of one machine share: each rank has an arena that only it allocates from.

An arena is a file without a name, so nothing is left of it when the last process that has it open
ends, however that ends.
"""

from __future__ import annotations

import mmap
import os
import tempfile
from multiprocessing import reduction
from typing import Any

#: Bytes of an arena; memory is taken only as far as it is used.
ARENA_BYTES = 128 << 20
#: The arena's file grows by so many bytes at a time, and blocks begin at multiples of these.
_STEP_BYTES, _ALIGNMENT = 8 << 20, 64


class ArenaFile:
    """The nameless file of one arena; travels to worker processes."""

    def __init__(self) -> None:
        if hasattr(os, "memfd_create"):
            self.fd = os.memfd_create("d4py-arena")
        else:
            with tempfile.TemporaryFile() as file:
                self.fd = os.dup(file.fileno())
        os.ftruncate(self.fd, ARENA_BYTES)

    def map(self) -> mmap.mmap:
        """The memory."""
        return mmap.mmap(self.fd, ARENA_BYTES)

    def close(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def __getstate__(self) -> Any:
        return reduction.DupFd(self.fd)

    def __setstate__(self, duplicate: Any) -> None:
        self.fd = duplicate.detach()


class Arena:
    """Hands out blocks of a file's memory, first fit; for its owner.

    Args:
        file: the file.
    """

    def __init__(self, file: ArenaFile) -> None:
        self._file = file
        self._memory = memoryview(file.map())
        self._backed = 0
        self._free: list[tuple[int, int]] = [(0, ARENA_BYTES)]  # (offset, size), by offset
        self._sizes: dict[int, int] = {}

    def put(self, data: memoryview) -> int | None:
        """Copy bytes into a block; its offset, or None if there is no room."""
        size = -(-data.nbytes // _ALIGNMENT) * _ALIGNMENT
        i = next((i for i, (_, room) in enumerate(self._free) if room >= size), None)
        if i is None:
            return None
        offset, room = self._free[i]
        if not self._back(offset + size):
            return None
        self._free[i : i + 1] = [(offset + size, room - size)] if room > size else []
        self._sizes[offset] = size
        self._memory[offset : offset + data.nbytes] = data.cast("B")
        return offset

    def release(self, offset: int) -> None:
        """Take a block back."""
        size = self._sizes.pop(offset)
        i = next((i for i, (o, _) in enumerate(self._free) if o > offset), len(self._free))
        self._free.insert(i, (offset, size))
        for left in (i, i - 1):  # join with the free neighbours on both sides
            if 0 <= left < len(self._free) - 1:
                (o1, s1), (o2, s2) = self._free[left : left + 2]
                if o1 + s1 == o2:
                    self._free[left : left + 2] = [(o1, s1 + s2)]

    def _back(self, size: int) -> bool:
        """See that memory is really there up to an offset: touching what is not would kill us."""
        while self._backed < size:
            try:
                _reserve(self._file.fd, self._backed, _STEP_BYTES)
            except OSError:
                return False
            self._backed += _STEP_BYTES
        return True


def _reserve(fd: int, offset: int, size: int) -> None:
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(fd, offset, size)
    else:  # macOS
        os.pwrite(fd, bytes(size), offset)
