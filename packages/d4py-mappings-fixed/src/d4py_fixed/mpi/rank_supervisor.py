"""The ranks of an MPI run as the driver sees them: started, told what to do, watched, ended."""

from __future__ import annotations

import os
import pickle
import secrets
import signal
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from time import monotonic, sleep

from d4py_fixed.engine.transport import MessageParts
from d4py_fixed.mpi.control_channel import DRIVER, ControlChannels, Kind, Listener
from d4py_fixed.mpi.launcher import VARIABLE, Processes
from dispel4py.errors import RunError, ServiceError, WorkerLostError
from dispel4py.logs import RUN_LOG
from dispel4py.processes.frozen_watch import FrozenWatch
from dispel4py.processes.shutdown_watch import ShutdownWatch
from dispel4py.processes.worker_exit import describe_threads

#: Seconds to wait for all ranks, by default; and until what is waited for is logged.
WAIT_SECONDS, _NOTICE_SECONDS = 300.0, 10.0
#: Ranks that a message names.
_MOST_NAMES = 10
_LOOK_SECONDS = 0.05
#: Seconds that ranks have to end by themselves when all is over, or to be there so that they can be
#: told to end; and the same after a failure, or at a signal.
_END_SECONDS, _SIGNAL_SECONDS = 5.0, 1.0


class RankSupervisor:
    """Starts ranks, has them run graphs, and ends them; a `Transport` to those that run one.

    Args:
        start: starts the ranks; gets the environment variable by which the first one finds us.
        expected: how many ranks there should be; None takes them as they come.

    Attributes:
        failed: a run was given up, and there cannot be another one.
    """

    def __init__(
        self, start: Callable[[dict[str, str]], Processes], expected: int | None = None
    ) -> None:
        self.failed = False
        self._closed = False
        self._expected = expected
        self._size: int | None = None
        self._is_wide = False
        self._frozen = FrozenWatch()
        self._pids: dict[int, int] = {}
        self._frames: deque[tuple[int, MessageParts]] = deque()
        #: Names of the threads for which ranks stay that have left MPI.
        self._threads: dict[int, list[str]] = {}
        #: Ranks in the run: None, or their last word.
        self._out: dict[int, bytes | None] = {}
        key = secrets.token_bytes(32)
        self._lines = ControlChannels(DRIVER, key, self.check)
        self._door = Listener(key)
        try:
            self._processes = start({VARIABLE: f"{self._door.port}:{key.hex()}"})
        except BaseException:
            self._door.close()
            self._lines.close()
            raise

    def size(self, wait: float = WAIT_SECONDS) -> int:
        """The number of ranks; waits until they are all there.

        Args:
            wait: seconds to wait at the most.

        Raises:
            UsageError: they could not be started as they are wanted.
            ServiceError: they could not be started, or did not come in time.
        """
        began_at, is_said = monotonic(), False
        while not self._are_all_there():
            waited = monotonic() - began_at
            if waited > wait:
                raise ServiceError(
                    f"{self._arrived()} after {wait:g} s (--wait); missing: {self._missing()}; MPI"
                    " does not start there, or mpiexec does not start anything"
                )
            if waited > _NOTICE_SECONDS and not is_said:
                is_said = True
                RUN_LOG.warning("%s; waiting for %s", self._arrived(), self._missing())
            over = self._processes.is_over()
            self._let_in(_LOOK_SECONDS)
            if over and not self._are_all_there():
                error = self._processes.failed_to_start()
                raise error or ServiceError(
                    f"the MPI processes could not be started: {self._processes.cause()}; see"
                    " their messages above"
                )
        assert self._size is not None
        return self._size

    def begin(self, orders: Sequence[MessageParts], frozen: FrozenWatch) -> None:
        """Begin a run on the first ranks.

        Args:
            orders: for each rank, what to run.
            frozen: notices those that are stopped.
        """
        self._frozen = frozen
        if self.failed:
            raise ServiceError("these MPI processes were given up when an earlier run failed")
        self._out = dict.fromkeys(range(len(orders)))
        for rank, packed in enumerate(orders):
            self._lines.send(rank, Kind.ORDERS, packed)

    def finish(self) -> None:
        """Wait until all ranks are out of the run.

        Raises:
            RunError: one failed or died.
        """
        while not self._are_out():
            self._look(_LOOK_SECONDS)
            self.check()

    def check(self) -> None:
        """Raise what a rank reported, or say that one was lost.

        Raises:
            RunError: a rank failed or died.
        """
        self._raise_reported()
        self._processes.check_output()
        over = self._processes.is_over()
        if over:
            self._look(0.0)  # what they have still said
            self._raise_reported()
        lost = [rank for rank in self._lines.gone if self._out.get(rank, b"") is None]
        if lost:
            rank, cause = self._processes.loss(lost, self._wait)
            self._raise_reported()
            raise WorkerLostError(rank, self._pids[rank], cause)
        for rank, pid, cause in self._frozen.check(self._running_here()):
            raise WorkerLostError(rank, pid, cause)
        if over and not self._are_out():
            raise ServiceError(f"the MPI processes ended: {self._processes.cause()}")

    def _running_here(self) -> Iterator[tuple[int, int]]:
        """Return the ranks in the run and their processes, if all are on this machine."""
        ranks = [] if self._is_wide else self._pids.items()
        return (entry for entry in ranks if self._out.get(entry[0], b"") is None)

    def stop(self) -> None:
        """Give the run up."""
        self.failed = True
        for rank, word in self._out.items():
            if word is None and rank not in self._lines.gone:
                self._lines.send_at_once(rank, Kind.STOP)

    def abort(self) -> None:
        """Have mpiexec end all ranks, and itself with status 1."""
        for rank in self._pids:
            self._lines.send_at_once(rank, Kind.ABORT)

    def send(self, rank: int, parts: MessageParts) -> None:
        """See `Transport`."""
        self._lines.send(rank, Kind.FRAME, parts)

    def receive(self, seconds: float) -> tuple[int, MessageParts] | None:
        """See `Transport`."""
        if not self._frames:
            self._look(seconds)
        return self._frames.popleft() if self._frames else None

    def close(self, name: Callable[[int], str] = "worker {}".format) -> None:
        """End all ranks.

        After a good run they end by themselves, once threads have that PEs have started, however
        long that takes; after another one they are ended.

        Args:
            name: what to call a rank in a message, by its number.

        Raises:
            RunError: one failed or died meanwhile.
        """
        if self._closed:
            return
        self._closed = True
        try:
            until = monotonic() + (_SIGNAL_SECONDS if self.failed else _END_SECONDS)
            while not (self._are_all_there() or self._processes.is_over() or monotonic() > until):
                self._let_in(_LOOK_SECONDS)
            if self.failed or not self._are_all_there():
                self._end_by_force()
                return
            for rank in self._pids:
                self._lines.send_at_once(rank, Kind.END)
            try:
                self._wait_until_ended(name)
                self._processes.see_off()
                self._processes.check_output()
            except BaseException:
                self._end_by_force()
                raise
        finally:
            self._processes.see_off()
            self._door.close()
            self._lines.close()

    def _wait_until_ended(self, name: Callable[[int], str]) -> None:
        """Wait for the ranks to end, and say for which if it takes long.

        Their output may be read slowly, which MPI waits for: however long that takes, there is
        nothing to end by force.  Only an mpiexec that stays when all ranks have ended is.
        """
        warning, until = ShutdownWatch(), monotonic() + _END_SECONDS
        while not self._wait(_LOOK_SECONDS):
            ending = self._pids.keys() - set(self._lines.gone)
            if ending or self._processes.is_printing(_END_SECONDS):
                until = monotonic() + _END_SECONDS
            elif monotonic() >= until:
                self._end_by_force()
                self._raise_reported()
                return
            warning.check((name(rank), self._threads.get(rank, ())) for rank in sorted(ending))
        self._raise_reported()
        with_threads = [rank for rank, names in self._threads.items() if names]
        if with_threads and self._processes.status():
            rank, cause = self._processes.loss(with_threads, self._wait)
            cause = f"{cause}, while {describe_threads(self._threads[rank])} still ran"
            raise WorkerLostError(rank, self._pids[rank], cause)

    def _end_by_force(self) -> None:
        for number in (signal.SIGTERM, signal.SIGKILL):
            self._processes.stop(number)
            self._wait(_SIGNAL_SECONDS)
        for rank, pid in self._pids.items():
            if rank not in self._lines.gone and self._processes.is_ours(rank):
                with suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)
        self._processes.end_left()

    def _let_in(self, seconds: float) -> None:
        for line, hello in self._door.callers(seconds):
            if self._expected not in (None, hello.size):
                raise ServiceError(
                    f"mpiexec was to start {self._expected} processes that belong together, but"
                    f" MPI takes each for one of {hello.size}: mpiexec and the MPI library that"
                    " mpi4py uses are of different kinds"
                )
            self._size = hello.size
            self._is_wide |= hello.is_wide
            self._pids[hello.rank] = hello.pid
            self._lines.connect(hello.rank, line)
            if hello.rank == 0 and hello.is_wide:
                port = self._door.open_wide()
                self._lines.send(0, Kind.LISTENING, [port.to_bytes(2, "big")])

    def _arrived(self) -> str:
        size = self._size or self._expected
        number = f"{len(self._pids)} of {size}" if size else str(len(self._pids))
        return f"{number} MPI ranks have come"

    def _missing(self) -> str:
        size = self._size or self._expected or 1
        missing = [str(rank) for rank in range(size) if rank not in self._pids]
        some, rest = missing[:_MOST_NAMES], missing[_MOST_NAMES:]
        names = ", ".join(some) + (f" and {len(rest)} more" if rest else "")
        return f"rank{'s' if len(missing) > 1 else ''} {names}"

    def _are_all_there(self) -> bool:
        return len(self._pids) == self._size

    def _are_out(self) -> bool:
        return None not in self._out.values()

    def _look(self, seconds: float) -> None:
        message = self._lines.receive(seconds)
        while message is not None:
            if message.kind == Kind.OUT:
                self._out[message.peer] = bytes(message.parts[0])
            elif message.kind == Kind.THREADS:
                self._threads[message.peer] = pickle.loads(message.parts[0])
            else:
                self._frames.append((message.peer, message.parts))
            message = self._lines.receive(0.0)

    def _raise_reported(self) -> None:
        for word in self._out.values():
            if word:
                error: RunError = pickle.loads(word)
                raise error

    def _wait(self, seconds: float) -> bool:
        """Wait until the ranks have ended; False if they have not."""
        limit = monotonic() + seconds
        while not self._processes.is_over():
            if monotonic() > limit:
                return False
            self._listen()
            sleep(0.005)
        self._listen()
        return True

    def _listen(self) -> None:
        # Ctrl-C may have come in the middle of a message, whose line is of no use since.
        with suppress(ServiceError):
            self._look(0.0)
