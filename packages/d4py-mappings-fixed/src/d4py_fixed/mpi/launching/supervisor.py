"""The driver's side of the ranks of an MPI run: starts, watches and ends them."""

from __future__ import annotations

import os
import secrets
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from time import monotonic, sleep

from d4py_fixed.engine.transport import MessageParts
from d4py_fixed.mpi.control_channel import DRIVER, ControlChannels, Kind
from d4py_fixed.mpi.launching.launcher import RankProcesses
from d4py_fixed.mpi.launching.registration import Registration
from d4py_fixed.mpi.launching.reports import RankReports
from d4py_fixed.mpi.limits import MpiLimits
from dispel4py.errors import ServiceError, WorkerLostError
from dispel4py.processes.user_code_thread import describe_threads
from dispel4py.processes.workers.frozen_watch import FrozenWatch
from dispel4py.processes.workers.shutdown_watch import ShutdownWatch

_EXIT_POLL_SECONDS = 0.005


class RankSupervisor:
    """Starts ranks, runs graphs on them, and ends them; a `Transport` to the ranks of a run.

    Args:
        start: starts the ranks; gets the environment variable by which the first rank finds the
            driver.
        expected: how many ranks there should be; None accepts any number.
        limits: see `MpiLimits`.

    Attributes:
        failed: a run has failed, and there cannot be another one.
    """

    def __init__(
        self,
        start: Callable[[dict[str, str]], RankProcesses],
        expected: int | None = None,
        limits: MpiLimits = MpiLimits(),
    ) -> None:
        self.failed = False
        self._closed = False
        self._limits = limits
        self._frozen = FrozenWatch()
        key = secrets.token_bytes(32)
        self._channels = ControlChannels(DRIVER, key, self.check)
        self._reports = RankReports(self._channels)
        self._registration = Registration(key, self._channels, expected, limits)
        self._pids = self._registration.pids
        try:
            self._processes = start(self._registration.variable)
        except BaseException:
            self._registration.close()
            self._channels.close()
            raise

    def wait_until_started(self, wait: float) -> int:
        """Wait until all ranks have connected, and return their number.

        Args:
            wait: the longest time to wait, in seconds.

        Raises:
            UsageError: the ranks could not be started as the user wants them.
            ServiceError: the ranks could not be started, or did not connect in time.
        """
        return self._registration.complete(self._processes, wait)

    def begin(self, specs: Sequence[MessageParts], frozen: FrozenWatch) -> None:
        """Begin a run on the first ranks.

        Args:
            specs: the specification for each rank.
            frozen: notices ranks that are stopped by a signal.
        """
        self._frozen = frozen
        if self.failed:
            raise ServiceError(
                "an earlier run of these MPI processes has failed; start the script again"
            )
        self._reports.begin_run(len(specs))
        for rank, spec in enumerate(specs):
            self._channels.send(rank, Kind.RANK_SPEC, spec)

    def finish(self) -> None:
        """Wait until the run has ended on all ranks.

        Raises:
            RunError: a rank failed or died.
        """
        while self._reports.running():
            self._reports.receive(self._limits.check_seconds)
            self.check()

    def check(self) -> None:
        """Raise the error that a rank has reported, or report a rank that was lost.

        Raises:
            RunError: a rank failed or died.
        """
        self._reports.raise_error()
        self._processes.check_output()
        has_ended = self._processes.has_ended()
        if has_ended:
            self._reports.receive(0.0)
            self._reports.raise_error()
        if self._reports.lost():
            rank, cause = self._processes.first_lost(self._reports.lost, self._wait_for_exit)
            self._reports.raise_error()
            raise WorkerLostError(rank, self._pids[rank], cause)
        for rank, pid, cause in self._frozen.check(self._running_here()):
            raise WorkerLostError(rank, pid, cause)
        if has_ended and self._reports.running():
            raise ServiceError(f"the MPI processes ended: {self._processes.cause()}")

    def _running_here(self) -> Iterator[tuple[int, int]]:
        """Return the ranks in the run and their processes, if all are on this machine."""
        if self._registration.is_remote:
            return iter(())
        return ((rank, self._pids[rank]) for rank in self._reports.running())

    def stop(self) -> None:
        """Stop a run that has failed."""
        self.failed = True
        for rank in self._reports.running():
            if rank not in self._channels.disconnected:
                self._channels.send_nowait(rank, Kind.STOP)

    def abort(self) -> None:
        """Make mpiexec end all ranks, and itself with status 1."""
        for rank in self._pids:
            self._channels.send_nowait(rank, Kind.ABORT)

    def send(self, rank: int, parts: MessageParts) -> None:
        """See `Transport`."""
        self._channels.send(rank, Kind.FRAME, parts)

    def receive(self, seconds: float) -> tuple[int, MessageParts] | None:
        """See `Transport`."""
        frames = self._reports.frames
        if not frames:
            self._reports.receive(seconds)
        return frames.popleft() if frames else None

    def close(self, name: Callable[[int], str] = "worker {}".format) -> None:
        """End all ranks.

        After a good run the ranks end by themselves, after the threads that PEs have started,
        however long that takes; after another one they are ended.

        Args:
            name: returns what names a rank in messages, by its number.

        Raises:
            RunError: a rank failed or died meanwhile.
        """
        if self._closed:
            return
        self._closed = True
        try:
            self._wait_for_registration()
            if self.failed or not self._registration.is_complete():
                self._end_by_force()
                return
            for rank in self._pids:
                self._channels.send_nowait(rank, Kind.SHUTDOWN)
            try:
                self._wait_until_ended(name)
                self._processes.finish_output()
                self._processes.check_output()
            except BaseException:
                self._end_by_force()
                raise
        finally:
            self._processes.finish_output()
            self._registration.close()
            self._channels.close()

    def _wait_for_registration(self) -> None:
        """Wait for ranks that are starting, so that `Kind.SHUTDOWN` reaches them."""
        limits = self._limits
        until = monotonic() + (limits.signal_seconds if self.failed else limits.end_seconds)
        while not (
            self._registration.is_complete() or self._processes.has_ended() or monotonic() > until
        ):
            self._registration.accept()

    def _wait_until_ended(self, name: Callable[[int], str]) -> None:
        """Wait until the ranks have ended, and name those that take long.

        MPI waits until their output is read, however long that takes, so none is ended by force.
        Only an mpiexec is that has neither ranks nor output any more.
        """
        end_seconds = self._limits.end_seconds
        warning, until = ShutdownWatch(), monotonic() + end_seconds
        while not self._wait_for_exit(self._limits.check_seconds):
            ending = self._pids.keys() - set(self._channels.disconnected)
            if ending or self._processes.is_printing(end_seconds):
                until = monotonic() + end_seconds
            elif monotonic() >= until:
                self._end_by_force()
                self._reports.raise_error()
                return
            warning.check(
                (name(rank), self._reports.threads.get(rank, ())) for rank in sorted(ending)
            )
        self._reports.raise_error()
        self._check_threads()

    def _check_threads(self) -> None:
        """Report a rank that was lost while its threads ran."""
        threads = self._reports.threads
        with_threads = [rank for rank, names in threads.items() if names]
        if with_threads and self._processes.exit_status():
            rank, cause = self._processes.first_lost(lambda: with_threads, self._wait_for_exit)
            cause = f"{cause}, while {describe_threads(threads[rank])} still ran"
            raise WorkerLostError(rank, self._pids[rank], cause)

    def _end_by_force(self) -> None:
        for number in (signal.SIGTERM, signal.SIGKILL):
            self._processes.stop(number)
            self._wait_for_exit(self._limits.signal_seconds)
        for rank, pid in self._pids.items():
            if rank not in self._channels.disconnected and self._processes.may_kill(rank):
                with suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)
        self._processes.kill_descendants()

    def _wait_for_exit(self, seconds: float) -> bool:
        """Wait for the end of all processes; return whether they have ended."""
        limit = monotonic() + seconds
        while not self._processes.has_ended():
            if monotonic() > limit:
                return False
            self._receive_rest()
            sleep(_EXIT_POLL_SECONDS)
        self._receive_rest()
        return True

    def _receive_rest(self) -> None:
        # Ctrl-C may have interrupted the reading of a message; its channel is unusable since then.
        with suppress(ServiceError):
            self._reports.receive(0.0)
