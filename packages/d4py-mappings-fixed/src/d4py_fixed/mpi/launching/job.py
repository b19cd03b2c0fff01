"""Ranks of a job: an mpiexec of the user has started the driver in place of the first rank.

The driver starts a child process that becomes the first rank, so that the driver remains to report
the error when a PE ends its process.
"""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Callable, Sequence

from d4py_fixed.mpi.launcher_environment import rank_variable, remove_launcher_variables
from d4py_fixed.mpi.launching.launcher import rank_command, send_to_marked
from d4py_fixed.mpi.library import NO_LIBRARY, library_error
from d4py_fixed.mpi.limits import MpiLimits
from dispel4py.errors import ServiceError
from dispel4py.processes.descendants import exempt_child, kill_descendants
from dispel4py.processes.marks import MARK_VARIABLE, make_mark, with_mark
from dispel4py.processes.workers.pool import exit_cause


class JobRanks:
    """See `RankProcesses`; the first rank is a child of this process, the others are not.

    Args:
        message: environment variables for the first rank.
        limits: see `MpiLimits`.
    """

    def __init__(self, message: dict[str, str], limits: MpiLimits = MpiLimits()) -> None:
        self._limits = limits
        self._mark = make_mark()
        # The files that the launcher has opened for its process must reach the child.
        self._process = subprocess.Popen(
            [*rank_command(), "--child"],
            env={**os.environ, **message, MARK_VARIABLE: with_mark(self._mark)},
            stdin=subprocess.PIPE,  # closes when this process ends, for whatever reason
            close_fds=False,
        )
        # A command that fails must not end the child while others wait for it.
        exempt_child(self._process.pid)
        remove_launcher_variables()

    def has_ended(self) -> bool:
        return self._process.poll() is not None

    def cause(self) -> str:
        return exit_cause(self._process.returncode)

    def exit_status(self) -> int:
        return self._process.returncode or 0

    def first_lost(
        self, lost: Callable[[], Sequence[int]], wait: Callable[[float], bool]
    ) -> tuple[int, str]:
        if threading.current_thread() is threading.main_thread():
            # mpiexec is about to end this process, too: the error has to be reported first.
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        rank = lost()[0]
        if rank == 0 and wait(self._limits.exit_seconds):
            return 0, self.cause()
        return rank, "see the messages of mpiexec"

    def may_kill(self, rank: int) -> bool:
        return rank == 0

    def start_error(self) -> Exception | None:
        if self.exit_status() == NO_LIBRARY:
            return library_error()
        return ServiceError(
            f"MPI could not be started in this process: {self.cause()}; see its messages"
            f" above.  {rank_variable()} is in the environment, so this process should have been"
            f" started by an MPI launcher; if it was not: unset {rank_variable()}"
        )

    def is_printing(self, seconds: float) -> bool:
        return False

    def check_output(self) -> None:
        """Do nothing: the launcher forwards the output, and does not report errors."""

    def stop(self, number: signal.Signals) -> None:
        self._process.send_signal(number)
        send_to_marked(self._mark, number)

    def kill_descendants(self) -> None:
        kill_descendants([], [self._mark])

    def finish_output(self) -> None:
        if self._process.stdin is not None:
            self._process.stdin.close()
