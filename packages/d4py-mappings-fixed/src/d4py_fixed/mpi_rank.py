"""What a rank of an MPI world does: carries out the driver's orders until all is over.

``python -m d4py_fixed.mpi_rank PATH`` is the program of a rank; PATH is the driver's socket, which
the first rank connects to.
"""

from __future__ import annotations

import os
import pickle
import signal
import sys
import threading
from multiprocessing import spawn
from typing import TYPE_CHECKING, Any

from d4py_fixed.local import RankOrders
from d4py_fixed.mpi_launch import launched_rank, spare_a_second
from d4py_fixed.mpi_link import DRIVER, Kind, Link, Message
from dispel4py.errors import ServiceError
from dispel4py.processes import portable

if TYPE_CHECKING:
    from d4py_fixed.mpi_post import Post  # imports MPI, which starts it

_LOOK_SECONDS = 1.0

_SERVING = threading.Event()


def is_serving() -> bool:
    """This process is a rank, so it cannot start a run of its own."""
    return _SERVING.is_set()


def serve(post: Post) -> int:
    """Carry out orders until all is over.

    Returns:
        The exit status to end with.
    """
    while (orders := next_orders(post)) is not None:
        carry_out(post, orders)
    return post.end or 0


def next_orders(post: Post) -> Message | None:
    """Wait for orders; None if all is over."""
    while not post.orders and post.end is None:
        post.wait(lambda: post.orders or post.end is not None, _LOOK_SECONDS)
    return post.orders.popleft() if post.orders else None


def carry_out(post: Post, message: Message) -> bool:
    """Run this rank's part of a run; False if the run failed or was given up."""
    from mpi4py import MPI

    from d4py_fixed.mpi_transport import MpiTransport, RunStopped

    report, done = b"", False
    _SERVING.set()
    try:
        preparation, packed = pickle.loads(message.parts[0])
        spawn.prepare(preparation)
        orders: RankOrders = pickle.loads(packed)
        orders.carry_out(MpiTransport(post, message.run, orders.ranks))
        done = True
    except RunStopped:
        pass
    except MPI.Exception as error:
        report = portable(ServiceError(f"MPI failed: {error}"))
    except BaseException as error:
        report = portable(error)
    finally:
        _SERVING.clear()
    sys.stdout.flush()
    post.send(Kind.OUT, message.run, DRIVER, [report])
    return done


def open_post(path: str | None, *, may_exit: bool) -> Post:
    """Start MPI, unless it runs, and make the post of this rank.

    Args:
        path: socket of the driver; None for ranks that it does not wait for.
        may_exit: see `Post`.

    Raises:
        ServiceError: MPI cannot be started, or takes this rank for another one.
    """
    try:
        import mpi4py

        mpi4py.rc.initialize = False
        spare_a_second()
        from mpi4py import MPI

        if not MPI.Is_initialized():
            MPI.Init_thread(MPI.THREAD_MULTIPLE)
    except Exception as error:  # RuntimeError where there is no MPI library
        raise ServiceError(f"MPI cannot be started: {error}") from error
    rank, size = MPI.COMM_WORLD.Get_rank(), MPI.COMM_WORLD.Get_size()
    if launched_rank() not in (None, rank):
        raise ServiceError(
            f"mpiexec started this process as rank {launched_rank()}, but MPI takes it for rank"
            f" {rank}: mpiexec and the MPI library that mpi4py uses"
            f" ({MPI.Get_library_version().splitlines()[0]}) are of different kinds"
        )
    from d4py_fixed.mpi_post import Post

    line = None
    if path is not None:
        try:
            line = Link.connect(path)
        except OSError as error:  # most likely it is on another machine
            if rank == 0:
                raise ServiceError(f"the first rank cannot reach the driver: {error}") from error
    post = Post(MPI.COMM_WORLD, line, may_exit=may_exit)  # waits for all others
    if line is not None:
        line.send(Message(Kind.HELLO, 0, rank, [pickle.dumps((size, os.getpid()))]))
    return post


def end_post(post: Post) -> None:
    """Let what was sent leave, and end MPI; where it cannot end well, the process goes at once."""
    from mpi4py import MPI

    if not post.close():
        sys.stdout.flush()
        os._exit(post.end or 1)
    if not MPI.Is_finalized():
        MPI.Finalize()


def leave_signals_to_the_driver() -> None:
    """Ctrl-C reaches the driver too, and it is the driver who stops the ranks."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def main(path: str) -> int:
    """The program of a rank; returns its exit status."""
    leave_signals_to_the_driver()
    for stream in (sys.stdout, sys.stderr):
        reconfigure: Any = getattr(stream, "reconfigure", None)
        if reconfigure is not None:  # whole lines, at once: what ranks print meets in one stream
            reconfigure(line_buffering=True)
    try:
        post = open_post(path, may_exit=True)
    except ServiceError as error:
        if launched_rank() in (0, None):
            Link.connect(path).send(Message(Kind.OUT, 0, 0, [portable(error)]))
        return 1
    status = serve(post)
    end_post(post)
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
