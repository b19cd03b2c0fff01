"""Initialises MPI in a rank."""

from __future__ import annotations

import os
import warnings
from contextlib import suppress
from typing import Any

from d4py_fixed.mpi.launcher_environment import launched_rank, launched_size
from d4py_fixed.mpi.library import MpiLibraryError, first_line, load_mpi, other_kind
from dispel4py.errors import ServiceError

_FOLDER = "/dev/shm/"
#: Beginnings of the names that Open MPI and MPICH give; Intel MPI removes its own.  Other names
#: belong to the program.
_PREFIXES = ("sm_segment.", "vader_segment.", "mpich_shm_")


def start_mpi() -> Any:
    """Return `mpi4py.MPI`, initialised.

    Raises:
        MpiLibraryError: mpi4py has no MPI library, or one that is not of the launcher's MPI.
        ServiceError: MPI cannot be initialised.
    """
    mpi = load_mpi()
    try:
        with warnings.catch_warnings():  # it would repeat the error of `_check_launcher`
            warnings.filterwarnings("ignore", "suspicious MPI execution environment")
            mpi.Init_thread(mpi.THREAD_SERIALIZED)
    except Exception as error:
        raise ServiceError(f"MPI cannot be started: {error}") from error
    world = mpi.COMM_WORLD
    world.alltoall([None] * world.Get_size())  # each rank maps the files of all others
    files = _shared_memory_files()
    world.Barrier()
    _unlink(files)
    _check_launcher(mpi)
    return mpi


def _check_launcher(mpi: Any) -> None:
    """Check that MPI has as many ranks as the launcher has started.

    Raises:
        MpiLibraryError: the launcher and the MPI library are of different kinds.
    """
    world = mpi.COMM_WORLD
    launched, actual = (
        (launched_rank(), launched_size()),
        (world.Get_rank(), world.Get_size()),
    )
    if any(one not in (None, other) for one, other in zip(launched, actual, strict=True)):
        of = f" of {launched[1]}" if launched[1] is not None else ""
        library = mpi.Get_library_version()
        error = MpiLibraryError(
            f"this process was started as rank {launched[0]}{of}, but MPI takes it for rank"
            f" {actual[0]} of {actual[1]}: the launcher and the MPI library that mpi4py uses"
            f" ({first_line(library)}) are of different kinds; {other_kind(library)}"
        )
        # Where the launcher does not say how many it has started, rank 0 finds no difference.
        error.is_common = launched[1] is not None
        raise error


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
