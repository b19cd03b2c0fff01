"""The ranks of an MPI world as the driver sees them: started, told what to do, watched, ended."""

from __future__ import annotations

import os
import pickle
import signal
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from time import monotonic
from typing import Protocol

from d4py_fixed.mpi_lines import Lines
from d4py_fixed.mpi_link import ALL, Kind, Message
from d4py_fixed.transport import Parts
from dispel4py.errors import RunError, ServiceError, WorkerLostError

_LOOK_SECONDS = 0.05
#: Seconds that ranks have to come out of a run that is given up, to end when all is over, and to
#: end once they were told by a signal.
_STOP_SECONDS, _END_SECONDS, _SIGNAL_SECONDS = 0.3, 5.0, 0.5
#: Run numbers begin again after this one; see `d4py_fixed.mpi_post`.
_LAST_RUN = 2000


class Ranks(Protocol):
    """The processes of the ranks, or the one that stands for them."""

    def is_over(self) -> bool:
        """They have ended."""

    def cause(self) -> str:
        """How they ended."""

    def send_signal(self, number: signal.Signals) -> None:
        """Have them end."""


class World:
    """Starts ranks, has them run graphs, and ends them; a `Transport` to those that run one.

    Args:
        start: starts the ranks; gets the path of the socket that those here are to connect to.
        expected: how many ranks there should be; None takes them as they come.

    Attributes:
        status: exit status that the ranks end with.
    """

    def __init__(self, start: Callable[[str], Ranks], expected: int | None = None) -> None:
        self.status = 0
        self._expected = expected
        self._run = 0
        self._frames: deque[tuple[int, Parts]] = deque()
        self._out: dict[int, bytes | None] = {}
        self._given_up = self._closed = False
        self._lines = Lines()
        try:
            self._ranks = start(self._lines.path)
        except BaseException:
            self._lines.close()
            raise

    def size(self) -> int:
        """The number of ranks; waits until they are there.

        Raises:
            RunError: they could not be started.
        """
        while not self._lines.size:
            is_over = self._ranks.is_over()
            self._look(0.0 if is_over else _LOOK_SECONDS)
            self._raise_reported()
            if is_over and not self._lines.size:
                raise ServiceError(
                    f"the MPI processes could not be started: {self._ranks.cause()}; what it had"
                    " to say stands above"
                )
        if self._expected not in (None, self._lines.size):
            raise ServiceError(
                f"mpiexec was to start {self._expected} processes that belong together, but MPI"
                f" takes each for one of {self._lines.size}: mpiexec and the MPI library that"
                " mpi4py uses are of different kinds"
            )
        return self._lines.size

    def begin(self, orders: Sequence[bytes]) -> None:
        """Begin a run on the first ranks.

        Args:
            orders: for each rank, what to run.

        Raises:
            RunError: some are still busy with a run that was given up.
        """
        if not self._are_out():
            raise ServiceError("some MPI ranks have not come out of a run that was given up")
        self.status, self._given_up = 0, False
        self._run = self._run % _LAST_RUN + 1
        self._out = dict.fromkeys(range(len(orders)))
        self._frames.clear()
        for rank, order in enumerate(orders):
            self._lines.send(Message(Kind.ORDERS, self._run, rank, [order]))

    def finish(self) -> None:
        """Wait until all ranks are out of the run.

        Raises:
            RunError: one failed or died.
        """
        while not self._are_out():
            self._look(_LOOK_SECONDS)
            self.check()

    def stop(self) -> None:
        """Give the run up; ranks that are in the middle of it have a moment to come out."""
        self.status, self._given_up = 1, True
        self._lines.send(Message(Kind.STOP, self._run, ALL))
        self._wait(_STOP_SECONDS, lambda: self._are_out() or bool(self._lines.dead))

    def check(self) -> None:
        """Raise what a rank reported, or say that one was lost.

        Raises:
            RunError: a rank failed or died.
        """
        self._raise_reported()
        if self._are_out() or not (self._lines.dead or self._ranks.is_over()):
            return
        self._wait(_SIGNAL_SECONDS)  # mpiexec has something to say as well
        self._raise_reported()
        if not self._lines.dead:
            raise ServiceError(f"the MPI processes died: {self._ranks.cause()}")
        rank = self._lines.dead[0]
        raise WorkerLostError(rank, self._lines.pids[rank], self._ranks.cause())

    def send(self, rank: int, parts: Parts) -> None:
        """See `Transport`."""
        self._lines.send(Message(Kind.DRIVER, self._run, rank, parts))

    def receive(self, seconds: float) -> tuple[int, Parts] | None:
        """See `Transport`."""
        if not self._frames:
            self._look(seconds)
        return self._frames.popleft() if self._frames else None

    def close(self) -> None:
        """End all ranks, with less patience if the last run was given up."""
        if self._closed:
            return
        self._closed = True
        patience = _SIGNAL_SECONDS if self._given_up else _END_SECONDS
        try:
            self._wait(patience, lambda: self._lines.size > 0)
            self._lines.send(Message(Kind.END, 0, ALL, [bytes([self.status])]))
            for number in (signal.SIGTERM, signal.SIGKILL):
                if self._wait(patience):
                    return
                self._ranks.send_signal(number)
                patience = _SIGNAL_SECONDS
            for pid in self._lines.pids.values():
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self._wait(patience)
        finally:
            self._lines.close()

    def _look(self, seconds: float) -> None:
        for message in self._lines.look(seconds):
            if message.kind == Kind.OUT and message.run in (0, self._run):
                self._out[message.rank] = bytes(message.parts[0])
            elif message.kind == Kind.DRIVER and message.run == self._run:
                self._frames.append((message.rank, message.parts))

    def _raise_reported(self) -> None:
        for report in self._out.values():
            if report:
                error: RunError = pickle.loads(report)
                raise error

    def _are_out(self) -> bool:
        return None not in self._out.values()

    def _wait(self, seconds: float, until: Callable[[], bool] = lambda: False) -> bool:
        """Wait until the ranks have ended, or something else is the case; True if they have."""
        limit = monotonic() + seconds
        while not (self._ranks.is_over() or until() or monotonic() > limit):
            self._look(0.01)
        return self._ranks.is_over()


@contextmanager
def world_of(start: Callable[[str], Ranks], size: int) -> Iterator[World]:
    """A world for a while; see `World`."""
    world = World(start, size)
    try:
        yield world
    finally:
        world.close()
