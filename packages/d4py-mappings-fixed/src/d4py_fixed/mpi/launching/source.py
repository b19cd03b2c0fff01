"""Where the ranks of an MPI run come from: the run starts them, or they are those of a job."""

from __future__ import annotations

import atexit
import functools
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Protocol

from d4py_fixed.mpi.launching.job import JobRanks
from d4py_fixed.mpi.launching.mpiexec import Mpiexec, MpiexecRanks
from d4py_fixed.mpi.launching.supervisor import RankSupervisor
from dispel4py.errors import D4pyError, RunError, UsageError


class RankSource(Protocol):
    """Provides the ranks for a run, and takes them back."""

    def acquire(self) -> RankSupervisor:
        """Return the supervisor of the ranks, which may be starting."""

    def release(self, supervisor: RankSupervisor, name: Callable[[int], str]) -> None:
        """End the run well.

        Args:
            supervisor: what `acquire` has returned.
            name: returns what names a rank in messages, by its number.

        Raises:
            RunError: a rank failed or died meanwhile.
        """

    def abandon(self, supervisor: RankSupervisor) -> None:
        """End the run after an error; further errors are of no interest."""


class MpiexecSource:
    """Starts ranks by an mpiexec, for one run; see `RankSource`.

    Args:
        mpiexec: the command.
        ranks: number of ranks.
    """

    def __init__(self, mpiexec: Mpiexec, ranks: int) -> None:
        self._mpiexec = mpiexec
        self._ranks = ranks

    def acquire(self) -> RankSupervisor:
        return RankSupervisor(partial(MpiexecRanks, self._mpiexec, self._ranks), self._ranks)

    def release(self, supervisor: RankSupervisor, name: Callable[[int], str]) -> None:
        supervisor.close(name)

    def abandon(self, supervisor: RankSupervisor) -> None:
        with suppress(OSError, D4pyError):
            supervisor.stop()
            supervisor.close()


class JobSource:
    """Provides the ranks of the job for one run after the other; see `RankSource`."""

    def acquire(self) -> RankSupervisor:
        return job_supervisor()

    def release(self, supervisor: RankSupervisor, name: Callable[[int], str]) -> None:
        """Do nothing: the next run uses the same ranks."""

    def abandon(self, supervisor: RankSupervisor) -> None:
        with suppress(OSError, D4pyError):
            supervisor.stop()


@functools.cache
def job_supervisor() -> RankSupervisor:
    """Return the supervisor of the ranks of the job, which lasts as long as this process.

    Raises:
        UsageError: MPI is initialised in this process, so that no child can become the first rank.
    """
    mpi = sys.modules.get("mpi4py.MPI")
    if mpi is not None and mpi.Is_initialized() and not mpi.Is_finalized():
        raise UsageError(
            "MPI was started in the first process already, which importing mpi4py.MPI does; import"
            " it after the run, or set mpi4py.rc.initialize = False before"
        )
    supervisor = RankSupervisor(JobRanks)
    atexit.register(_close, supervisor)
    return supervisor


def close_job_supervisor() -> None:
    """End the ranks of the job; the next run starts with new ones."""
    job_supervisor().close()
    job_supervisor.cache_clear()


def _close(supervisor: RankSupervisor) -> None:
    with suppress(OSError, ValueError, AttributeError):
        sys.stdout.flush()
    if supervisor.failed:
        supervisor.abort()  # last of all, as mpiexec ends this process as well
        return
    try:
        supervisor.close()
    except RunError as error:  # the program has ended, but not well
        print(f"dispel4py: error: {error}", file=sys.stderr, flush=True)
        os._exit(1)
