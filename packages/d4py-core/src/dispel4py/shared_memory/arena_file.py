"""The file of an arena: memory that several processes map.

It has no name, so it vanishes when the last process that has it open ends, however that process
ends.
"""

from __future__ import annotations

import errno
import mmap
import os
import resource
import tempfile
from math import inf
from multiprocessing import reduction
from typing import Any, NamedTuple

from dispel4py.shared_memory.limits import SharedMemoryLimits

#: Largest part of a limited address space for one arena: a rank maps those of its senders, too.
_MOST_OF_ADDRESS_SPACE = 1 / 8


class ArenaAddress(NamedTuple):
    """Where processes of this machine can open the file of an arena.

    Attributes:
        pid: A process that has it open.
        fd: Its file descriptor there.
        link: What the link of that file descriptor reads; no other arena has the same.
    """

    pid: int
    fd: int
    link: str


class ArenaFile:
    """The unnamed file of an arena; can be sent to worker processes.

    Args:
        limits: its size.
        fd: the file descriptor of an arena that there is; None makes a new one.

    Raises:
        OSError: there is no room for the file, or a limit on the size of files.

    Attributes:
        fd: the file descriptor; -1 when closed.
        limits: the same.
    """

    def __init__(
        self, limits: SharedMemoryLimits = SharedMemoryLimits(), fd: int | None = None
    ) -> None:
        self.limits = limits
        if fd is not None:
            self.fd = fd
            return
        if hasattr(os, "memfd_create"):
            self.fd = os.memfd_create(f"d4py-arena-{os.urandom(8).hex()}")
        else:
            with tempfile.TemporaryFile() as file:
                self.fd = os.dup(file.fileno())
        try:
            os.ftruncate(self.fd, limits.arena_bytes)
        except OSError:
            self.close()
            raise

    @classmethod
    def open(
        cls, address: ArenaAddress, limits: SharedMemoryLimits = SharedMemoryLimits()
    ) -> ArenaFile:
        """Open the arena of another process.

        Raises:
            OSError: that is not possible, or the arena belongs to another user.
        """
        path = _link_of(address.pid, address.fd)
        # In another PID namespace, the process of that number is another one.
        if os.readlink(path) != address.link or os.stat(path).st_uid != os.geteuid():
            raise PermissionError(f"{path} is not the arena of a process of this user")
        return cls(limits, os.open(path, os.O_RDWR | os.O_CLOEXEC))

    @property
    def address(self) -> ArenaAddress | None:
        """Where other processes can open the file; None if this system has no such place."""
        try:
            return ArenaAddress(os.getpid(), self.fd, os.readlink(_link_of(os.getpid(), self.fd)))
        except OSError:  # macOS
            return None

    def map(self) -> mmap.mmap:
        """Map the file into memory.

        Raises:
            OSError: there is no address space for it, or a limit on that (ulimit -v) of which it
                would be a large part.
        """
        if self.limits.arena_bytes > address_space() * _MOST_OF_ADDRESS_SPACE:
            raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))
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


def address_space() -> float:
    """Return the limit on the address space of this process in bytes; it may be infinite."""
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    return inf if limit == resource.RLIM_INFINITY else limit


def _link_of(pid: int, fd: int) -> str:
    """Return the path of a process's link to one of its files (proc_pid_fd(5))."""
    return f"/proc/{pid}/fd/{fd}"


def _reserve(fd: int, offset: int, size: int) -> None:
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(fd, offset, size)
    else:  # macOS
        os.pwrite(fd, bytes(size), offset)
