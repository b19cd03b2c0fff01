"""One rank of an MPI world: connects to the driver, and runs what the driver specifies."""

from __future__ import annotations

import os
import pickle
import sys
import threading
from contextlib import nullcontext, suppress
from time import sleep
from typing import Any, NoReturn

from d4py_fixed.mpi.control_channel import (
    DRIVER,
    Kind,
    Message,
    receive_from_driver,
)
from d4py_fixed.mpi.launcher_environment import rank_on_machine
from d4py_fixed.mpi.library import NO_LIBRARY, MpiLibraryError
from d4py_fixed.mpi.limits import MpiLimits
from d4py_fixed.mpi.rank_spec import unpack_spec
from d4py_fixed.mpi.ranks.driver_connection import DriverConnection
from d4py_fixed.mpi.ranks.exit_status import exit_fails
from d4py_fixed.mpi.ranks.mpi_start import start_mpi
from d4py_fixed.mpi.ranks.orphans import exit_when_driver_ends, exit_with_descendants
from d4py_fixed.shared_memory.transport import SharedMemoryTransport
from dispel4py.errors import RunError, ServiceError
from dispel4py.processes.descendants import wait_for_own_descendants
from dispel4py.processes.workers.exiting import end_worker_process, set_abort_handler
from dispel4py.processes.workers.reports import picklable_error

#: Set while a run is under way in this process, or while it ends after its runs.
_RUNNING = threading.Event()


def is_running() -> bool:
    """Return whether this process is a rank in a run, and so cannot start another run."""
    return _RUNNING.is_set()


class RankProcess:
    """This process as one rank of an MPI world, which it initialises.

    Args:
        is_worker: this process serves runs only: if the driver ends, it may end during a call of
            a PE.
        adopts_streams: the driver has started this process by an mpiexec; if the driver is on the
            same machine, its standard output and error become those of this process.
        is_of_job: an mpiexec of the user has started this process.
        limits: see `MpiLimits`.

    Raises:
        ServiceError: MPI cannot be initialised, or the driver has ended.
    """

    def __init__(
        self,
        *,
        is_worker: bool,
        adopts_streams: bool = False,
        is_of_job: bool = False,
        limits: MpiLimits = MpiLimits(),
    ) -> None:
        mpi = start_mpi()
        self._world = mpi.COMM_WORLD
        self.rank: int = self._world.Get_rank()
        self.size: int = self._world.Get_size()
        self._limits = limits
        self._is_worker = is_worker
        self._ends_well = False
        self._exit = exit_fails if is_of_job and mpi.get_vendor()[0] != "Open MPI" else nullcontext
        host = mpi.Get_processor_name()
        driver = DriverConnection(self._world, host, adopts_streams=adopts_streams)
        self._channels, self._channel = driver.channels, driver.socket
        # PEs may use MPI themselves, so frames have communicators of their own.
        self._frames, self._bodies = self._world.Dup(), self._world.Dup()
        from d4py_fixed.mpi.ranks.machine_memory import share_machine_memory
        from d4py_fixed.mpi.ranks.wakeup_socket import WakeupSocket

        machine = self._world.Split_type(mpi.COMM_TYPE_SHARED)
        self._wakeup = WakeupSocket(self._world, machine, self._channel, limits)
        self._memory = share_machine_memory(machine, self.rank)
        machine.Free()
        if is_worker:
            exit_when_driver_ends(self._channel, is_running, limits)

    def next_spec(self) -> Message | None:
        """Wait for the specification of a run; return None if there are no more runs."""
        while (message := receive_from_driver(self._channels, self._channel)) is not None:
            if message.kind == Kind.RANK_SPEC:
                return message
            if message.kind == Kind.SHUTDOWN:
                self._ends_well = True
                break
            if message.kind == Kind.ABORT:
                self._world.Abort(1)
        return None

    def run(self, message: Message) -> bool:
        """Run this rank's part of a run; return False if the run failed or was stopped."""
        from mpi4py import MPI

        from d4py_fixed.mpi.ranks.transport import RunStopped

        report, succeeded = b"", False
        _RUNNING.set()
        try:
            self._run(MPI, message)
            succeeded = True
        except RunStopped:
            pass
        except MPI.Exception as error:
            report = picklable_error(ServiceError(f"MPI failed: {error}"))
        except BaseException as error:
            report = picklable_error(error)
        self._report(report)
        _RUNNING.clear()
        return succeeded

    def _run(self, mpi: Any, message: Message) -> None:
        from d4py_fixed.mpi.ranks.transport import MpiTransport

        spec, peers = unpack_spec(message.parts)
        message.parts.clear()  # by now they belong to the PEs
        transport = MpiTransport(
            self._frames, self._bodies, self._channels, self._wakeup, spec.ranks, self._limits
        )
        set_abort_handler(lambda error: self._report(picklable_error(error)))
        apart = set(range(self.size + 1)) - (self._memory.files.keys() & peers)
        sharing = SharedMemoryTransport(transport, self._memory, apart)
        with self._exit():
            spec.run(sharing, any_thread=mpi.Query_thread() >= mpi.THREAD_SERIALIZED)
        for frame in transport.drain(peers):
            sharing.open(*frame)

    def _report(self, report: bytes) -> None:
        _flush()
        with suppress(OSError):
            self._channels.send(DRIVER, Kind.RUN_ENDED, [report])

    def end(self) -> None:
        """Leave MPI; never returns unless the driver has sent `Kind.SHUTDOWN`."""
        from mpi4py import MPI

        _flush()
        if not self._ends_well:
            # MPI cannot be finalised while messages may be under way that are never received, so
            # mpiexec ends this process: the driver has ended, or a rank has called MPI_Abort.
            sleep(self._limits.orphan_seconds)
            exit_with_descendants()
        self._wakeup.close()
        if not self._is_worker:  # a script, which goes on
            self._channels.close()
            MPI.Finalize()
            return
        MPI.Finalize()
        self._finish()

    def _finish(self) -> None:
        """End this process as a program ends, and report errors of that to the driver."""
        _RUNNING.set()  # threads that still run end if the driver ends
        self._report_threads([])
        try:
            end_worker_process(self._report_threads)
            wait_for_own_descendants()
        except RunError as error:
            self._report(picklable_error(error))
            _flush()
            os._exit(1)

    def _report_threads(self, names: list[str]) -> None:
        with suppress(OSError):
            self._channels.send(DRIVER, Kind.THREADS, [pickle.dumps(names)])


def serve(*, adopts_streams: bool = False, is_of_job: bool = False) -> None:
    """Be a rank until the driver ends the ranks; for the arguments see `RankProcess`."""
    try:
        rank = RankProcess(is_worker=True, adopts_streams=adopts_streams, is_of_job=is_of_job)
    except ServiceError as error:
        _exit_at_start(error)
    while (spec := rank.next_spec()) is not None:
        rank.run(spec)
    rank.end()


def _exit_at_start(error: ServiceError, limits: MpiLimits = MpiLimits()) -> NoReturn:
    if isinstance(error, MpiLibraryError) and error.is_common and rank_on_machine():
        sleep(limits.common_report_seconds)
    else:
        print(f"dispel4py: error: {error}", file=sys.stderr, flush=True)
    # Without MPI_Finalize, which would wait for the other ranks.
    os._exit(NO_LIBRARY if isinstance(error, MpiLibraryError) else 1)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):
            stream.flush()
