"""A heap in shared memory: all workers of a machine allocate from it, and free what is there.

Large buffers of tasks lie there while the tasks are in the store, so they are copied twice on their
way, and pass through neither the driver nor a server.  A block belongs to a task, not to a process:
a worker that is lost leaves it for the next one that the task is given to.
"""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import NamedTuple

from dispel4py.shared_memory.arena_file import ArenaFile, ArenaMemory


class Block(NamedTuple):
    """A part of a heap: its offset and size in bytes."""

    offset: int
    size: int


def make_heap_file() -> ArenaFile | None:
    """Return the file of a new heap; None where the system has no memory of that kind."""
    try:
        return ArenaFile() if hasattr(os, "memfd_create") else None
    except OSError:  # a limit on the size of files (ulimit -f)
        return None


class SharedHeap:
    """A heap, as one process maps it.

    The first chunks hold a map of the heap, a byte per chunk that is 1 while the chunk is in use.
    It is changed under a record lock on the file, which the system releases if its process is
    killed.  What was allocated by a process that was killed before it could commit its task stays
    in use to the end of the run.

    Args:
        file: the file of the heap, which is all zero when it is new.
    """

    def __init__(self, file: ArenaFile) -> None:
        self._file = file
        self._chunk = file.limits.chunk_bytes
        self._chunks = file.limits.arena_bytes // self._chunk
        self._first = self._count(self._chunks)
        self._lock = threading.Lock()

    @cached_property
    def _arena(self) -> ArenaMemory | None:
        """The heap in memory; None without address space for it (ulimit -v)."""
        try:
            return ArenaMemory(self._file)
        except OSError:
            return None

    @property
    def least_bytes(self) -> int:
        """Size of the smallest buffer that is worth a block."""
        return self._chunk

    def put(self, data: memoryview) -> Block | None:
        """Copy bytes into a new block; return None if there is no room."""
        arena = self._arena
        if arena is None:
            return None
        count = self._count(data.nbytes)
        with self._locked():
            if not arena.allocate(self._first * self._chunk):
                return None
            in_use = arena.memory[: self._chunks]
            chunk = in_use.find(bytes(count), self._first)
            if chunk < 0 or not arena.allocate((chunk + count) * self._chunk):
                return None
            arena.memory[chunk : chunk + count] = b"\1" * count
        offset = chunk * self._chunk
        arena.memory[offset : offset + data.nbytes] = data
        return Block(offset, data.nbytes)

    def copy(self, block: Block) -> bytearray:
        """Return a copy of a block."""
        if self._arena is None:
            return bytearray(os.pread(self._file.fd, block.size, block.offset))
        return bytearray(memoryview(self._arena.memory)[block.offset : block.offset + block.size])

    def free(self, blocks: Iterable[Block]) -> None:
        """Free blocks."""
        with self._locked():
            for block in blocks:
                chunk, count = block.offset // self._chunk, self._count(block.size)
                os.pwrite(self._file.fd, bytes(count), chunk)

    def _count(self, size: int) -> int:
        """Return how many chunks hold so many bytes."""
        return -(-size // self._chunk)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with self._lock:
            fcntl.lockf(self._file.fd, fcntl.LOCK_EX)
            try:
                yield
            finally:
                fcntl.lockf(self._file.fd, fcntl.LOCK_UN)
