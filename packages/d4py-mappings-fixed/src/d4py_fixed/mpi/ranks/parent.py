"""A process between an mpiexec of the user and a rank, so that the driver can name a lost rank.

MPICH and Intel MPI kill all other processes as soon as they see that one has ended, the driver
among them: docs/decisions/036.
"""

from __future__ import annotations

import os
from time import sleep

from d4py_fixed.mpi.launcher_environment import rank_variable
from d4py_fixed.mpi.limits import MpiLimits


def become_child(limits: MpiLimits = MpiLimits()) -> None:
    """Go on in a child of this process, where the mpiexec is one that would kill the driver.

    This process waits for the child, and ends with its exit status, a moment later if it failed.
    """
    if rank_variable() not in ("PMI_RANK", "PALS_RANKID"):
        return
    child = os.fork()
    if not child:
        return
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    if code:
        sleep(limits.report_seconds)
    os._exit(code if code >= 0 else 128 - code)
