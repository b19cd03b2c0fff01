"""`RankProcesses`: the interface between the driver and the processes that are ranks.

`mpiexec.MpiexecRanks` are started by an mpiexec of the driver; `job.JobRanks` by an mpiexec that
has started the driver, too.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from signal import Signals
from typing import Protocol

from dispel4py.processes.descendants import descendants_of

#: The environment variable with the driver's port and the run's key, for the first rank.
VARIABLE = "D4PY_MPI"


class RankProcesses(Protocol):
    """The ranks as processes of an operating system, or one process in their place."""

    def has_ended(self) -> bool:
        """Return whether the processes have ended."""

    def cause(self) -> str:
        """Return how the processes have ended."""

    def exit_status(self) -> int:
        """Return the exit status of the processes that have ended; negative for a signal."""

    def first_lost(
        self, lost: Callable[[], Sequence[int]], wait: Callable[[float], bool]
    ) -> tuple[int, str]:
        """Return the rank that was lost first, and how it ended.

        Args:
            lost: returns the ranks that are known to be lost, in the order in which that was
                noticed.  A driver that was busy may notice several at once, and the first one last.
            wait: waits for the end of all processes for so many seconds, and notices lost ranks.
        """

    def may_kill(self, rank: int) -> bool:
        """Return whether the driver has to end this rank itself."""

    def start_error(self) -> Exception | None:
        """Return why the processes ended before they connected, if their output shows it."""

    def is_printing(self, seconds: float) -> bool:
        """Return whether output waits to be written, or was written in the last `seconds`."""

    def check_output(self) -> None:
        """Check that output can be written.

        Raises:
            RunError: standard output or error of this process cannot be written to.
        """

    def stop(self, number: Signals) -> None:
        """Send a signal to all processes, and discard what mpiexec prints from now on."""

    def kill_descendants(self) -> None:
        """Kill the processes that PEs have started on this machine; the ranks have ended."""

    def finish_output(self) -> None:
        """Wait until all output is written; the ranks have ended."""


def rank_command() -> list[str]:
    """Return the command of a rank."""
    # Not -m, which would import the module a second time under another name.
    code = "import gc; gc.disable(); from d4py_fixed.mpi.ranks.main import main; main()"
    return [sys.executable, "-P", "-c", code]


def send_to_marked(mark: str, number: Signals) -> None:
    """Send a signal to all processes of this machine that carry a mark."""
    for process in descendants_of([], [mark]):
        process.send(number)
