"""The worker processes of a run on this machine: started together, watched, and always stopped.

A worker that fails sends its error to the parent and ends; one that loses its parent (kill -9)
ends too, after a last clean-up.  Whatever way it ends, what its PEs have started ends with it.
Workers have a session of their own, so Ctrl-C reaches the parent alone, which stops them.
"""

from __future__ import annotations

import os
import pickle
import shutil
import signal
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing import (
    connection,
    current_process,
    forkserver,
    get_all_start_methods,
    get_context,
    parent_process,
    resource_tracker,
)
from multiprocessing.process import BaseProcess
from time import monotonic
from typing import Any

from dispel4py.children import end_what_was_started_here, lead_session
from dispel4py.ending import begin_as_a_program, end_as_a_program, name_threads, when_stuck
from dispel4py.errors import D4pyError, OptionError, RunError, WorkerLostError, name_list
from dispel4py.families import Families
from dispel4py.heartbeat import FrozenWatch, is_running
from dispel4py.logs import RUN_LOG
from dispel4py.once import Once
from dispel4py.socket_folder import let_multiprocessing_use_short_paths
from dispel4py.standard_output import flush_standard_streams

START_METHODS = ("fork", "forkserver", "spawn")

_ON_LINUX = sys.platform == "linux"

#: Seconds that a worker has to end after SIGTERM before it is killed.
GRACE_SECONDS = 1.0
_HELD_BACK = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
#: A worker's last word when it is done.
_DONE = b""
#: What its last word but one begins with, if threads still run: their names follow.
_FINISHING = b"finishing "
#: Seconds between two looks at workers that are to end, and until what they wait for is logged.
_TICK_SECONDS, _WARN_SECONDS = 0.05, 5.0
#: Seconds between two looks of a worker whether its parent is still the same.
_ORPHAN_SECONDS = 0.5

_UNREPORTED = (
    " before it began, for the reason that it printed; workers that are not forked import the main"
    " script, which has to call run() under: if __name__ == '__main__':"
)


class WorkerSide:
    """What a worker's main function gets to deal with its parent.

    Args:
        report: to the parent.
    """

    def __init__(self, report: connection.Connection) -> None:
        self._report = report
        self._on_orphaned: Callable[[], None] = lambda: None
        threading.Thread(target=self._watch_parent, name="d4py-parent-watch", daemon=True).start()

    def finishing(self, threads: list[str]) -> None:
        """Tell the parent that the work is done, but that these threads still run."""
        self._report.send_bytes(_FINISHING + pickle.dumps(threads))

    def on_orphaned(self, clean_up: Callable[[], None]) -> None:
        """Call this when the parent is gone, just before the worker ends itself."""
        self._on_orphaned = clean_up

    def _watch_parent(self) -> None:
        parent, number = parent_process(), os.getppid()
        if parent is not None:
            # Workers that were forked later hold the sentinel open too, even if they are stopped.
            while not connection.wait([parent.sentinel], _ORPHAN_SECONDS):
                if os.getppid() != number:
                    break
            try:
                self._on_orphaned()
                # Where a fork server has its socket: its owner, the parent, cannot remove it now.
                folder = getattr(current_process(), "_config", {}).get("tempdir")
                if folder is not None:
                    shutil.rmtree(folder, ignore_errors=True)
            finally:
                end_what_was_started_here()
                os._exit(1)


class Crew:
    """Worker processes numbered from 0.

    Args:
        main: the workers' main function, importable; called as ``main(side, *arguments)``.
        arguments: one tuple per worker; must be picklable.
        start_method: one of `START_METHODS`; None takes the quickest that is safe.
        frozen: notices workers that are stopped; None takes the default limit.

    Raises:
        OptionError: there is no such start method here.
    """

    def __init__(
        self,
        main: Callable[..., None],
        arguments: Sequence[tuple[Any, ...]],
        start_method: str | None = None,
        frozen: FrozenWatch | None = None,
    ) -> None:
        if start_method not in (None, *get_all_start_methods()):
            raise OptionError(
                f"no start method {start_method!r} here (there are: {name_list(START_METHODS)})"
            )
        self._main = main
        self._start_method = start_method
        self._imports_main = False
        self._processes: list[BaseProcess] = []
        self._reports: list[connection.Connection] = []
        self._threads: dict[int, list[str]] = {}
        self._ended: set[int] = set()
        self._families = Families()
        self._frozen = frozen or FrozenWatch()
        self._warning = Once()
        try:
            self._start_together(arguments)
        except BaseException:
            self.stop()
            raise

    def add(self, arguments: tuple[Any, ...]) -> None:
        """Start another worker; its number is the next one."""
        self._start_together([arguments])

    def kill(self, number: int) -> None:
        """End a worker; `check` says nothing of it."""
        self._ended.add(number)
        self._processes[number].kill()
        self._families.lost(self.pids[number])

    def is_running(self, number: int) -> bool:
        """Return whether a worker is known to live and not to be stopped; see `heartbeat`."""
        return is_running(self._processes[number].pid or 0)

    def _start_together(self, arguments: Sequence[tuple[Any, ...]]) -> None:
        start_method = self._start_method or safe_start_method()
        _start_helpers(start_method)
        with signals_held_back():
            for argument in arguments:
                self._start(argument, start_method)

    def _start(self, arguments: tuple[Any, ...], start_method: str) -> None:
        self._imports_main |= start_method != "fork"
        context: Any = get_context(start_method)
        receiver, sender = context.Pipe(duplex=False)
        process = context.Process(
            target=_worker_main,
            args=(self._main, sender, arguments, self._warning),
            name=f"d4py-worker-{len(self._processes)}",
        )
        with no_script_where_there_is_none():
            process.start()
        sender.close()
        self._processes.append(process)
        self._reports.append(receiver)
        self._families.begin(process.pid or 0)

    @property
    def pids(self) -> list[int]:
        """Process numbers by rank."""
        return [process.pid or 0 for process in self._processes]

    def check(self) -> None:
        """Raise what a worker reported, or say that one was lost.

        Raises:
            D4pyError: a worker's own error.
            WorkerLostError: a worker ended without a word, or is stopped and was given up.
        """
        for rank, (process, report) in enumerate(zip(self._processes, self._reports, strict=True)):
            if rank in self._ended:
                continue
            gone = not process.is_alive()
            message = _received(report)
            if message is not None and message.startswith(_FINISHING):
                self._threads[rank] = pickle.loads(message.removeprefix(_FINISHING))
                message = _received(report)
            if message is not None:
                self._ended.add(rank)
                if message != _DONE:
                    raise pickle.loads(message)
            elif gone:
                self._ended.add(rank)
                self._families.lost(process.pid or 0)
                cause = cause_of(process.exitcode or 0)
                if process.exitcode == 1 and self._imports_main:
                    cause += _UNREPORTED
                if rank in self._threads:
                    cause += f", while {name_threads(self._threads[rank])} still ran"
                raise WorkerLostError(rank, process.pid or 0, cause)
        for number, pid, cause in self._frozen.look(self._not_ended()):
            self.kill(number)
            raise WorkerLostError(number, pid, cause)
        self._families.ended(
            [
                self.pids[rank]
                for rank in self._ended
                if self.pids[rank] in self._families and not self._processes[rank].is_alive()
            ]
        )

    def _not_ended(self) -> Iterator[tuple[int, int]]:
        """Return number and process of each worker whose end is not known."""
        return (entry for entry in enumerate(self.pids) if entry[0] not in self._ended)

    def join(self, seconds: float) -> bool:
        """Wait for all workers to end by themselves for so long; False if some have not."""
        until = monotonic() + seconds
        for process in self._processes:
            process.join(max(0.0, until - monotonic()))
        return not any(process.is_alive() for process in self._processes)

    def finishing(self, number: int) -> list[str]:
        """Return the names of the threads for which a worker stays though its work is done."""
        return self._threads.get(number, [])

    def wait_until_ended(
        self,
        look: Callable[[], None] | None = None,
        name: Callable[[int], str] = "worker {}".format,
    ) -> None:
        """Wait for all workers to end by themselves, however long; say for what if it takes long.

        What PEs have left running then has a few seconds to finish.

        Args:
            look: called meanwhile, in place of `check`, which is to be called there.
            name: what to call a worker in a message, by its number.

        Raises:
            D4pyError: see `check`.
        """
        look = look or self.check
        warning = EndWarning()
        while not self.join(_TICK_SECONDS):
            look()
            warning.look(
                (name(number), self.finishing(number))
                for number, process in enumerate(self._processes)
                if process.is_alive()
            )
        look()
        self.see_off()

    def see_off(self) -> None:
        """Let what PEs have left running finish, if all workers have ended well."""
        self._families.see_off()

    def stop(self) -> None:
        """End all workers that still run, and all that they have started: SIGTERM, then SIGKILL."""
        started = self._families.running()
        for process in self._processes:
            if process.is_alive():
                process.terminate()
        self._families.send(started, signal.SIGTERM)
        until = monotonic() + GRACE_SECONDS
        if not self.join(GRACE_SECONDS):
            for process in self._processes:
                if process.is_alive():
                    process.kill()
            self.join(GRACE_SECONDS)
        self._families.end(started, until - monotonic())
        for report in self._reports:
            report.close()
        self._warning.close()


class EndWarning:
    """Warns what a run waits for: once, if its end takes longer than some seconds."""

    def __init__(self) -> None:
        self._due_at = monotonic() + _WARN_SECONDS

    def look(self, remaining: Iterable[tuple[str, Sequence[str]]]) -> None:
        """Log the warnings if it is time.

        Args:
            remaining: the name of each worker that has not ended, and of the threads for which it
                stays, as far as these are known; read only if it is time.
        """
        if monotonic() < self._due_at:
            return
        self._due_at = float("inf")
        for worker, threads in remaining:
            what = " to end"
            if threads:
                run = "runs" if len(threads) == 1 else "run"
                what = f": {name_threads(threads)} still {run}"
            RUN_LOG.warning("all items are done; waiting for %s%s", worker, what)


def usable_cores() -> int:
    """How many cores this process may use: the ``"auto"`` of `dispel4py.run`."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def safe_start_method() -> str:
    """``fork`` on Linux while there is one thread (a fork copies locks but no threads).

    Also where the main program is a prompt or a notebook, which no other process could import.
    """
    if not _ON_LINUX:
        return "spawn"
    by_fork = threading.active_count() == 1 or not _has_main_script()
    return "fork" if by_fork else "forkserver"


def imports_main() -> bool:
    """This is a process that imports the main script before it becomes a worker."""
    return getattr(current_process(), "_inheriting", False)


def main_is_shared(start_method: str | None = None) -> bool:
    """Workers know what the main program defines: they are forked, or import its script."""
    return (start_method or safe_start_method()) == "fork" or _has_main_script()


def _has_main_script() -> bool:
    return os.path.exists(getattr(sys.modules["__main__"], "__file__", None) or "")


def _worker_main(
    main: Callable[..., None],
    report: connection.Connection,
    arguments: tuple[Any, ...],
    warning: Once,
) -> None:
    leave_signals_to_parent()
    lead_session()
    with signals_held_back():
        # Tries the folder out with a file, which a worker that is ended would leave there.
        tempfile.gettempdir()
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _HELD_BACK)
    _leave_fork_server_to_parent()
    begin_as_a_program(warning.take)

    def fail(error: BaseException) -> None:
        report.send_bytes(portable(error))
        report.close()
        flush_standard_streams()
        # Not sys.exit: nothing of the parent's that was forked along may run its clean-up here.
        os._exit(1)

    when_stuck(fail)
    try:
        side = WorkerSide(report)
        main(side, *arguments)
        end_as_a_program(side.finishing)
        report.send_bytes(_DONE)
    except BaseException as error:
        fail(error)


def leave_signals_to_parent() -> None:
    """Let it be the parent who ends this process when the user asks for the end of the run."""
    # Unlike SIG_IGN, this is not handed on to programs, which would not heed SIGINT either.
    signal.signal(signal.SIGINT, lambda number, frame: None)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def _leave_fork_server_to_parent() -> None:
    """Let this process start a fork server of its own when it needs one.

    One that was inherited by a fork is no child of this process, so multiprocessing, which asks
    whether it still runs, would raise `ChildProcessError`.
    """
    server: Any = vars(forkserver)["_forkserver"]
    server._forkserver_pid = None


def _start_helpers(start_method: str) -> None:
    """Start what multiprocessing itself needs, while no signal is held back.

    Its resource tracker lets signals in again when it starts.  And a fork server hands on what it
    holds back to all its processes, those of the user's own code too.
    """
    if start_method != "fork":
        let_multiprocessing_use_short_paths()
        resource_tracker.ensure_running()
    if start_method == "forkserver":
        with no_script_where_there_is_none():
            forkserver.ensure_running()


@contextmanager
def signals_held_back() -> Iterator[None]:
    """Signals wait, here and in processes started here, until those deal with them their way."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _HELD_BACK)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def no_script_where_there_is_none() -> Iterator[None]:
    """Workers do not look for the script of a main program that was typed or piped in."""
    main = sys.modules["__main__"]
    name = getattr(main, "__file__", None)
    if name is None or _has_main_script():
        yield
        return
    del main.__file__
    try:
        yield
    finally:
        main.__file__ = name


def _received(report: connection.Connection) -> bytes | None:
    """What a worker sent, if it has."""
    try:
        return report.recv_bytes() if report.poll() else None
    except (EOFError, OSError):  # it ended, perhaps in the middle of sending
        return None


def portable(error: BaseException) -> bytes:
    """A pickled error that the parent can raise."""
    if not isinstance(error, D4pyError):
        text = "".join(traceback.format_exception(error))
        error = RunError(f"a worker failed in d4py's own code; please report this:\n{text}")
    try:
        data = pickle.dumps(error)
        pickle.loads(data)
    except Exception:  # an error of somebody's own subclass may not travel
        data = pickle.dumps(RunError(str(error)))
    return data


def cause_of(exitcode: int) -> str:
    """What an exit status says in words; negative ones are signals."""
    if exitcode < 0:
        try:
            return f"killed by {signal.Signals(-exitcode).name}"
        except ValueError:
            return f"killed by signal {-exitcode}"
    return f"exit status {exitcode}"
