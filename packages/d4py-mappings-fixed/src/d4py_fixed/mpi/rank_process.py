"""What an MPI rank does: joins the others and the driver, and runs what the driver orders.

`main` is the program of ranks that we start; `follow_all` and `follow_one` are for processes that
an mpiexec has started beside the first one.
"""

from __future__ import annotations

import atexit
import functools
import os
import pickle
import select
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from time import sleep
from typing import Any, NoReturn

from d4py_fixed.mpi.control_channel import (
    DRIVER,
    ControlChannels,
    Hello,
    Kind,
    Message,
    borrow_streams,
    dial,
)
from d4py_fixed.mpi.launcher import VARIABLE, launched_rank, launched_size, spare_a_second
from d4py_fixed.mpi.rank_spec import prepared
from d4py_fixed.mpi.shared_memory_files import mapped_files, unlink
from dispel4py.errors import RunError, ServiceError
from dispel4py.processes.descendants import end_own_descendants, wait_for_own_descendants
from dispel4py.processes.marks import mark_environment
from dispel4py.processes.worker_exit import (
    begin_worker_process,
    end_worker_process,
    set_abort_handler,
)
from dispel4py.processes.worker_process import leave_signals_to_parent
from dispel4py.processes.worker_reports import picklable_error
from dispel4py.result import RunResult, RunStats

#: Seconds that a rank has to come out of a PE when the driver is gone.
_GRACE_SECONDS = 1.0

_RUNNING = threading.Event()


def is_running() -> bool:
    """This process is in the middle of a run as a rank, so it cannot start one of its own."""
    return _RUNNING.is_set()


class RankProcess:
    """One rank among the ranks of an MPI world; MPI must not have been started before.

    Args:
        may_exit: this process is ours: it may end while a PE is at work, if the driver is gone.
        borrows: the driver has started it by an mpiexec; it prints to the driver's own streams, if
            that is on the same machine.

    Raises:
        ServiceError: MPI cannot be started, or the driver is not there.
    """

    def __init__(self, *, may_exit: bool, borrows: bool = False) -> None:
        mpi = start_mpi()
        self._world = world = mpi.COMM_WORLD
        self.rank: int = world.Get_rank()
        self.size: int = world.Get_size()
        hosts = world.allgather(mpi.Get_processor_name())
        is_wide = len(set(hosts)) > 1
        line = None
        told = None
        if self.rank == 0:
            port, key = _driver_here()
            self._borrow(port, key, borrows=borrows)
            address = "127.0.0.1", port
            line = self._dial(address, key, is_wide)
            lines = ControlChannels(0, key)
            lines.connect(DRIVER, line)
            if is_wide:
                message = _hear(lines, line)
                if message is None:
                    raise ServiceError("the driver is gone")
                address = hosts[0], int.from_bytes(message.parts[0], "big")
            told = address, port, key
        address, port, key = world.bcast(told)
        if line is None:
            self._borrow(port, key, borrows=borrows and hosts[self.rank] == hosts[0])
            line = self._dial(address, key, is_wide)
            lines = ControlChannels(self.rank, key)
            lines.connect(DRIVER, line)
        self._lines, self._line = lines, line
        self._all_is_well = False
        # PEs may use MPI themselves; what is ours goes by communicators of our own.
        self._heads, self._bodies = world.Dup(), world.Dup()
        from d4py_fixed.mpi.wakeup_socket import WakeupSocket

        self._bell = WakeupSocket(world, line)
        self._may_exit = may_exit
        if may_exit:
            watch = threading.Thread(
                target=_watch, args=(line,), name="d4py-driver-watch", daemon=True
            )
            watch.start()

    def next_orders(self) -> Message | None:
        """Wait for orders; None if all is over."""
        while (message := _hear(self._lines, self._line)) is not None:
            if message.kind == Kind.ORDERS:
                return message
            if message.kind == Kind.END:
                self._all_is_well = True
                break
            if message.kind == Kind.ABORT:
                self._world.Abort(1)
        return None

    def carry_out(self, message: Message) -> bool:
        """Run this rank's part of a run; False if the run failed or was given up."""
        from mpi4py import MPI

        from d4py_fixed.mpi.transport import MpiTransport, RunStopped

        report, done = b"", False
        _RUNNING.set()
        try:
            orders, peers = prepared(message.parts)
            message.parts.clear()  # they belong to the PEs now
            transport = MpiTransport(
                self._heads, self._bodies, self._lines, self._bell, orders.ranks
            )
            set_abort_handler(lambda error: self._report(picklable_error(error)))
            with _no_exit_is_good():
                orders.run(transport, any_thread=MPI.Query_thread() >= MPI.THREAD_SERIALIZED)
            transport.settle(peers)
            done = True
        except RunStopped:
            pass
        except MPI.Exception as error:
            report = picklable_error(ServiceError(f"MPI failed: {error}"))
        except BaseException as error:
            report = picklable_error(error)
        self._report(report)
        _RUNNING.clear()
        return done

    def _report(self, report: bytes) -> None:
        _flush()
        with suppress(OSError):
            self._lines.send(DRIVER, Kind.OUT, [report])

    def end(self) -> None:
        """Leave the others; does not come back if the driver has not said that all is well."""
        from mpi4py import MPI

        _flush()
        if not self._all_is_well:
            # MPI cannot end in good order: messages may be under way that nobody will ever take.
            # So mpiexec ends us: the driver has ended, or somebody has called MPI_Abort.  Only if
            # it does not, we do.
            sleep(_GRACE_SECONDS)
            _exit_with_all()
        self._bell.close()
        if not self._may_exit:  # a script, which ends as any other
            self._lines.close()
            MPI.Finalize()
            return
        MPI.Finalize()
        _RUNNING.set()  # again: what still runs here ends if the driver does
        self._tell_threads([])
        try:
            end_worker_process(self._tell_threads)
            wait_for_own_descendants()
        except RunError as error:
            with suppress(OSError):
                self._lines.send(DRIVER, Kind.OUT, [picklable_error(error)])
            _flush()
            os._exit(1)

    def _tell_threads(self, names: list[str]) -> None:
        with suppress(OSError):
            self._lines.send(DRIVER, Kind.THREADS, [pickle.dumps(names)])

    def _borrow(self, port: int, key: bytes, *, borrows: bool) -> None:
        if borrows:  # before it dials: until all have done so, the driver answers
            borrow_streams(port, key, Hello(self.rank, self.size, os.getpid(), is_wide=False))

    def _dial(self, address: tuple[str, int], key: bytes, is_wide: bool) -> socket.socket:
        try:
            return dial(address, key, Hello(self.rank, self.size, os.getpid(), is_wide))
        except OSError as error:
            raise ServiceError(
                f"MPI rank {self.rank} cannot reach the driver at {address[0]}:{address[1]}:"
                f" {error}"
            ) from error


def main() -> NoReturn:
    """The program of a rank that we have started."""
    _leave_signals_to_the_driver()
    is_child = "--child" in sys.argv
    if is_child:
        _end_with_parent()
    else:
        _read_nothing()
    _serve(borrows=not is_child)
    sys.exit()


def follow_all() -> int:
    """Carry out all orders of the first process; returns the exit status of success."""
    _leave_signals_to_the_driver()
    _read_nothing()
    _serve()
    return 0


def follow_one() -> RunResult:
    """Carry out one run of the first process.

    A script goes on from here as it does there.  So a run that failed, failed here as well; but
    only once the first process has ended, as mpiexec kills all when one of them ends badly.

    Raises:
        RunError: the run failed.
    """
    member = _lasting_member()
    orders = member.next_orders()
    if orders is not None and member.carry_out(orders):
        return RunResult({}, [], RunStats("mpi", member.size))
    while orders is not None:
        orders = member.next_orders()
    raise RunError("the run failed, or there was none; the first MPI process says why")


@functools.cache
def _lasting_member() -> RankProcess:
    _read_nothing()
    member = RankProcess(may_exit=False)
    atexit.register(_leave, member)
    return member


def _leave(member: RankProcess) -> None:
    while member.next_orders() is not None:
        pass  # this script has ended, and the first process has not
    member.end()


def _serve(*, borrows: bool = False) -> None:
    begin_worker_process()
    try:
        member = RankProcess(may_exit=True, borrows=borrows)
    except ServiceError as error:
        print(f"dispel4py: error: {error}", file=sys.stderr, flush=True)
        os._exit(1)  # leaving MPI in good order would wait for the others
    while (orders := member.next_orders()) is not None:
        member.carry_out(orders)
    member.end()


def start_mpi() -> Any:
    """`mpi4py.MPI`, initialised.

    Raises:
        ServiceError: it cannot be, or takes this rank for another one.
    """
    try:
        import mpi4py

        mpi4py.rc.initialize = False
        spare_a_second()
        from mpi4py import MPI

        before = mapped_files()
        MPI.Init_thread(MPI.THREAD_SERIALIZED)
    except Exception as error:  # RuntimeError where there is no MPI library
        raise ServiceError(f"MPI cannot be started: {error}") from error
    world = MPI.COMM_WORLD
    world.alltoall([None] * world.Get_size())
    ours = mapped_files() - before
    world.Barrier()  # now every rank has them open
    unlink(ours)
    told, found = (launched_rank(), launched_size()), (world.Get_rank(), world.Get_size())
    if any(one not in (None, other) for one, other in zip(told, found, strict=True)):
        of = f" of {told[1]}" if told[1] is not None else ""
        raise ServiceError(
            f"mpiexec started this process as rank {told[0]}{of}, but MPI takes it for rank"
            f" {found[0]} of {found[1]}: mpiexec and the MPI library that mpi4py uses"
            f" ({MPI.Get_library_version().splitlines()[0]}) are of different kinds"
        )
    return MPI


def _driver_here() -> tuple[int, bytes]:
    """Port and key of the driver."""
    message = os.environ.pop(VARIABLE, "")
    if not message:
        raise ServiceError(
            "the first MPI rank is not on the machine of the command; start the command itself by"
            " mpiexec: mpiexec … dispel4py mpi WORKFLOW"
        )
    port, key = message.split(":")
    return int(port), bytes.fromhex(key)


def _hear(lines: ControlChannels, line: socket.socket) -> Message | None:
    """Wait for a message of the driver; None if it is gone."""
    poll = select.poll()
    poll.register(line, select.POLLIN)
    while (message := lines.receive(0.0)) is None and not lines.gone:
        poll.poll()
    return message


def _watch(line: socket.socket) -> None:
    """End this process, though a PE is at work, when the driver is gone."""
    poll = select.poll()
    poll.register(line, getattr(select, "POLLRDHUP", select.POLLHUP))
    poll.poll()
    sleep(_GRACE_SECONDS)
    if _RUNNING.is_set():
        _exit_with_all()


def _read_nothing() -> None:
    """Make standard input empty, since launchers leave one open that never ends."""
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    if nothing:
        os.close(nothing)


def _end_with_parent() -> None:
    """End this process when its parent ends, which holds the other end of its standard input."""
    parent = os.dup(0)
    _read_nothing()

    def wait() -> None:
        os.read(parent, 1)
        sleep(_GRACE_SECONDS)  # see `RankProcess.end`
        _exit_with_all()

    threading.Thread(target=wait, name="d4py-parent-watch", daemon=True).start()


@contextmanager
def _no_exit_is_good() -> Iterator[None]:
    """Let a PE that calls ``os._exit(0)`` end this process with another status.

    The mpiexec of MPICH kills all others then, the driver too, and calls it a success.
    """
    end, own = os._exit, os.getpid()

    def end_badly(status: int) -> NoReturn:
        end(status or int(os.getpid() == own))  # processes that a PE has forked may end well

    setattr(os, "_exit", end_badly)  # noqa: B010 - mypy takes it for a mistake
    try:
        yield
    finally:
        setattr(os, "_exit", end)  # noqa: B010


def _leave_signals_to_the_driver() -> None:
    """Ctrl-C reaches the driver too, and it is the driver who stops the ranks."""
    leave_signals_to_parent()
    mark_environment()


def _exit_with_all() -> NoReturn:
    """End this process and all that PEs have started in it."""
    try:
        end_own_descendants()
    finally:
        os._exit(1)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):
            stream.flush()
