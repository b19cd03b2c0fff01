"""The file of an arena: memory that several processes map.

It has no name, so it vanishes when the last process that has it open ends, however that process
ends.
"""

from __future__ import annotations

import mmap
import os
import tempfile
from multiprocessing import reduction
from typing import Any

from dispel4py.shared_memory.limits import SharedMemoryLimits


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


class ArenaMemory:
    """The memory of an arena's file, allocated as far as it is used.

    Args:
        file: the arena's file.

    Attributes:
        memory: the file, mapped.
    """

    def __init__(self, file: ArenaFile) -> None:
        self.memory = file.map()
        self._file = file
        self._allocated = 0

    def allocate(self, size: int) -> bool:
        """Allocate memory up to an offset: a write to memory that is not there kills a process.

        Returns:
            Whether there is so much.
        """
        step = self._file.limits.step_bytes
        while self._allocated < size:
            try:
                _reserve(self._file.fd, self._allocated, step)
            except OSError:
                return False
            self._allocated += step
        return True


def _reserve(fd: int, offset: int, size: int) -> None:
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(fd, offset, size)
    else:  # macOS
        os.pwrite(fd, bytes(size), offset)
