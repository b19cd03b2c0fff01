"""Initialises MPI in a rank."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Any

from d4py_fixed.mpi.launcher_environment import launched_rank, launched_size, skip_libfabric_search
from dispel4py.errors import ServiceError

_FOLDER = "/dev/shm/"
#: Beginnings of the names that Open MPI and MPICH give; Intel MPI removes its own.  Other names
#: belong to the program.
_PREFIXES = ("sm_segment.", "vader_segment.", "mpich_shm_")


def start_mpi() -> Any:
    """Return `mpi4py.MPI`, initialised.

    Raises:
        ServiceError: MPI cannot be initialised, or its ranks are not those of the launcher.
    """
    try:
        import mpi4py

        mpi4py.rc.initialize = False
        skip_libfabric_search()
        from mpi4py import MPI

        MPI.Init_thread(MPI.THREAD_SERIALIZED)
    except Exception as error:  # RuntimeError where there is no MPI library
        raise ServiceError(f"MPI cannot be started: {error}") from error
    world = MPI.COMM_WORLD
    world.alltoall([None] * world.Get_size())  # each rank maps the files of all others
    files = _shared_memory_files()
    world.Barrier()
    _unlink(files)
    _check_launcher(MPI)
    return MPI


def _check_launcher(mpi: Any) -> None:
    """Check that MPI has as many ranks as the launcher has started.

    Raises:
        ServiceError: mpiexec and the MPI library are of different kinds.
    """
    world = mpi.COMM_WORLD
    launched, actual = (
        (launched_rank(), launched_size()),
        (world.Get_rank(), world.Get_size()),
    )
    if any(one not in (None, other) for one, other in zip(launched, actual, strict=True)):
        of = f" of {launched[1]}" if launched[1] is not None else ""
        raise ServiceError(
            f"mpiexec started this process as rank {launched[0]}{of}, but MPI takes it for rank"
            f" {actual[0]} of {actual[1]}: mpiexec and the MPI library that mpi4py uses"
            f" ({mpi.Get_library_version().splitlines()[0]}) are of different kinds"
        )


# The files by which ranks of one machine share memory lose their names once every rank has mapped
# them, so that none is left when ranks, or mpiexec, are killed: docs/decisions/032.


def _shared_memory_files() -> set[str]:
    """Return the files of MPI that this process has mapped, where the system shows them."""
    try:
        with open("/proc/self/maps", encoding="utf-8", errors="replace") as maps:
            paths = {line.rstrip("\n").split(maxsplit=5)[-1] for line in maps}
    except OSError:
        return set()
    return {path for path in paths if path.startswith(tuple(_FOLDER + name for name in _PREFIXES))}


def _unlink(paths: set[str]) -> None:
    for path in paths:
        with suppress(OSError):  # another rank has removed the name
            os.unlink(path)
