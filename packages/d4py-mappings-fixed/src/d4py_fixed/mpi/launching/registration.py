"""Registers the ranks of an MPI run with the driver while they start."""

from __future__ import annotations

from time import monotonic

from d4py_fixed.mpi.control_channel import ControlChannels, Kind
from d4py_fixed.mpi.launching.launcher import VARIABLE, RankProcesses
from d4py_fixed.mpi.launching.listener import Hello, Listener
from d4py_fixed.mpi.limits import MpiLimits
from dispel4py.errors import ServiceError
from dispel4py.logs import RUN_LOG

#: Ranks that a message names.
_MOST_NAMES = 10


class Registration:
    """Accepts ranks, and adds their control channels.

    Args:
        key: the run's key.
        channels: of the driver.
        expected: how many ranks there should be; None accepts any number.
        limits: see `MpiLimits`.

    Attributes:
        size: number of ranks; None until the first one has connected.
        is_remote: some ranks are on other machines than the first one.
        pids: the process of each rank that has connected.
        variable: the environment variable by which the first rank finds the driver.
    """

    def __init__(
        self, key: bytes, channels: ControlChannels, expected: int | None, limits: MpiLimits
    ) -> None:
        self._channels = channels
        self._expected = expected
        self._limits = limits
        self._listener = Listener(key)
        self.size: int | None = None
        self.is_remote = False
        self.pids: dict[int, int] = {}
        self.variable = {VARIABLE: f"{self._listener.port}:{key.hex()}"}

    def is_complete(self) -> bool:
        """Return whether all ranks have connected."""
        return len(self.pids) == self.size

    def complete(self, processes: RankProcesses, wait: float) -> int:
        """Wait until all ranks have connected, and return their number.

        Args:
            processes: the ranks.
            wait: the longest time to wait, in seconds.

        Raises:
            UsageError: the ranks could not be started as the user wants them.
            ServiceError: the ranks could not be started, or did not connect in time.
        """
        began_at, is_logged = monotonic(), False
        while not self.is_complete():
            waited = monotonic() - began_at
            if waited > wait:
                raise ServiceError(
                    f"{self._arrived()} after {wait:g} s (--wait); missing: {self._missing()}; MPI"
                    " does not start there, or mpiexec does not start anything"
                )
            if waited > self._limits.start_notice_seconds and not is_logged:
                is_logged = True
                RUN_LOG.warning("%s; waiting for %s", self._arrived(), self._missing())
            has_ended = processes.has_ended()
            self.accept()
            if has_ended and not self.is_complete():
                raise processes.start_error() or ServiceError(
                    f"the MPI processes could not be started: {processes.cause()}; see"
                    " their messages above"
                )
        assert self.size is not None
        return self.size

    def accept(self) -> None:
        """Accept the ranks that connect within `MpiLimits.check_seconds`.

        Raises:
            ServiceError: MPI does not know as many ranks as mpiexec was to start.
        """
        for channel, hello in self._listener.accept(self._limits.check_seconds):
            self._check_size(hello)
            self.size = hello.size
            self.is_remote |= hello.is_remote
            self.pids[hello.rank] = hello.pid
            self._channels.connect(hello.rank, channel)
            if hello.rank == 0 and hello.is_remote:
                port = self._listener.bind_all()
                self._channels.send(0, Kind.REMOTE_PORT, [port.to_bytes(2, "big")])

    def close(self) -> None:
        """Accept no more ranks."""
        self._listener.close()

    def _check_size(self, hello: Hello) -> None:
        if self._expected not in (None, hello.size):
            raise ServiceError(
                f"mpiexec was to start {self._expected} processes that belong together, but"
                f" MPI takes each for one of {hello.size}: mpiexec and the MPI library that"
                " mpi4py uses are of different kinds"
            )

    def _arrived(self) -> str:
        size = self.size or self._expected
        number = f"{len(self.pids)} of {size}" if size else str(len(self.pids))
        return f"{number} MPI ranks have come"

    def _missing(self) -> str:
        size = self.size or self._expected or 1
        missing = [str(rank) for rank in range(size) if rank not in self.pids]
        some, rest = missing[:_MOST_NAMES], missing[_MOST_NAMES:]
        names = ", ".join(some) + (f" and {len(rest)} more" if rest else "")
        return f"rank{'s' if len(missing) > 1 else ''} {names}"
