"""Shared memory between the MPI ranks of one machine, by which they send large buffers.

Each rank opens the arenas of the others through /proc.  Where that fails on either side (another
user or PID namespace, a system without /proc), the two send everything by MPI.  Arenas last as long
as the ranks, which may run several graphs.
"""

from __future__ import annotations

from contextlib import suppress

from mpi4py import MPI

from d4py_fixed.shared_memory.arena import Arena
from d4py_fixed.shared_memory.transport import SharedMemory
from dispel4py.shared_memory.arena_file import ArenaAddress, ArenaFile
from dispel4py.shared_memory.limits import SharedMemoryLimits


def share_machine_memory(
    machine: MPI.Intracomm, rank: int, limits: SharedMemoryLimits = SharedMemoryLimits()
) -> SharedMemory:
    """Return the memory that a rank shares with others, if there are such.

    Args:
        machine: a communicator of the ranks of this machine, which all call this.
        rank: number of this rank among all.
        limits: see `SharedMemoryLimits`.
    """
    own, arena = _make_arena(limits)
    addresses: dict[int, ArenaAddress | None] = dict(machine.allgather((rank, own and own.address)))
    files: dict[int, ArenaFile] = {}
    for other, address in addresses.items():
        if arena is not None and address is not None and other != rank:
            with suppress(OSError):
                files[other] = ArenaFile.open(address, limits)
    opened: dict[int, set[int]] = dict(machine.allgather((rank, set(files))))
    for other in [*files]:
        if rank not in opened[other]:
            files.pop(other).close()
    return SharedMemory(arena, files, opened)


def _make_arena(limits: SharedMemoryLimits) -> tuple[ArenaFile | None, Arena | None]:
    """Return a new arena; nothing where there is no memory for it, or no address space."""
    file = None
    try:
        file = ArenaFile(limits)
        return file, Arena(file)
    except OSError:
        if file is not None:
            file.close()
        return None, None
