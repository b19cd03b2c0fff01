"""The worker processes of a run on this machine: started together, watched, and always stopped.

A worker that fails sends its error to the parent and ends; one that loses its parent (kill -9)
ends too, after a last clean-up.  Whatever way it ends, what its PEs have started ends with it.
Workers have a session of their own, so Ctrl-C reaches the parent alone, which stops them.
"""

from __future__ import annotations

import errno
import os
import pickle
import shutil
import signal
import tempfile
import threading
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from multiprocessing import connection, current_process, get_context, parent_process
from multiprocessing.process import BaseProcess
from time import monotonic
from typing import Any

from dispel4py.errors import (
    D4pyError,
    OptionError,
    RunError,
    WorkerLostError,
    WorkerStartError,
)
from dispel4py.exceptions.unwinding import take_no_notice
from dispel4py.logs import RUN_LOG
from dispel4py.processes.children import end_descendants, lead_session
from dispel4py.processes.descendants import Descendants
from dispel4py.processes.ending import (
    begin_worker_process,
    end_worker_process,
    name_threads,
    when_stuck,
)
from dispel4py.processes.heartbeat import FrozenWatch, is_running
from dispel4py.processes.once import OneTimeClaim
from dispel4py.processes.start_methods import (
    HELD_BACK,
    Start,
    forget_inherited_fork_server,
    ready_to_start,
    signals_held_back,
)
from dispel4py.processes.start_watch import StartWatch
from dispel4py.processes.zygote import Zygote, leave_zygotes_to_parent
from dispel4py.standard_streams.output import flush_standard_streams

#: Seconds that a worker has to end after SIGTERM before it is killed.
GRACE_SECONDS = 1.0
#: A worker's first word.
_BEGUN = b"begun"
#: Its last word when it is done.
_DONE = b""
#: What its last word but one begins with, if threads still run: their names follow.
_FINISHING = b"finishing "
#: Seconds between two looks at workers that are to end, and until what they wait for is logged.
_TICK_SECONDS, _WARN_SECONDS = 0.05, 5.0
#: Seconds between two looks of a worker whether its parent is still the same.
_ORPHAN_SECONDS = 0.5

_UNREPORTED = (
    ", for the reason that it printed; workers that are not forked import the main script, which"
    " has to call run() under: if __name__ == '__main__':"
)


class WorkerContext:
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
                end_descendants()
                os._exit(1)


class WorkerPool:
    """Worker processes numbered from 0.

    Args:
        main: the workers' main function, importable; called as ``main(side, *arguments)``.
        arguments: one tuple per worker; must be picklable.
        start: how they are started; None is as `Start.of` says by default.
        frozen: notices workers that are stopped; None takes the default limit.
        common: what all of them are started with, if others may have to be started later; those
            that are forked have it without its being copied.

    Raises:
        OptionError: this system does not let processes be started.
        RunError: nor as many.
    """

    def __init__(
        self,
        main: Callable[..., None],
        arguments: Sequence[tuple[Any, ...]],
        start: Start | None = None,
        frozen: FrozenWatch | None = None,
        common: Any = None,
    ) -> None:
        self._main = main
        self._how = start or Start.of({})
        self._watch = StartWatch(self._how)
        self._zygote: Zygote | None = None
        self._started = False  # those that are started at first
        self._processes: list[BaseProcess] = []
        self._reports: list[connection.Connection] = []
        self._threads: dict[int, list[str]] = {}
        self._ended: set[int] = set()
        self._families = Descendants()
        self._frozen = frozen or FrozenWatch()
        self._warning = OneTimeClaim()
        try:
            if common is not None and self._how.method == "fork":
                with ready_to_start("fork"):
                    self._zygote = Zygote(_worker_main, common)
            self._start_together(arguments)
        except BaseException:
            self.stop()
            raise

    def add(self, arguments: tuple[Any, ...]) -> None:
        """Start another worker, in the way of the others; its number is the next one."""
        self._start_together([arguments])

    def kill(self, number: int) -> None:
        """End a worker; `check` says nothing of it."""
        self._ended.add(number)
        self._watch.begun(number)
        self._processes[number].kill()
        self._families.lost(self.pids[number])

    def is_running(self, number: int) -> bool:
        """Return whether a worker is known to live and not to be stopped; see `heartbeat`."""
        return is_running(self._processes[number].pid or 0)

    def _start_together(self, arguments: Sequence[tuple[Any, ...]]) -> None:
        with ready_to_start(self._how.method):
            for argument in arguments:
                self._start(argument)
        self._started = True

    def _start(self, arguments: tuple[Any, ...]) -> None:
        number = len(self._processes)
        receiver, sender = connection.Pipe(duplex=False)
        try:
            process = self._start_process(
                f"d4py-worker-{number}", (self._main, sender, arguments, self._warning)
            )
        except BaseException as error:
            receiver.close()
            if isinstance(error, OSError | ImportError):
                raise _as_ours(error, number) from error
            raise
        finally:
            sender.close()
        self._watch.started(number)
        self._processes.append(process)
        self._reports.append(receiver)
        self._families.begin(process.pid or 0)

    def _start_process(self, name: str, arguments: tuple[Any, ...]) -> BaseProcess:
        if self._zygote is not None and self._started:
            return self._zygote.start(name, arguments)
        context: Any = get_context(self._how.method)
        process: BaseProcess = context.Process(
            target=_worker_main, args=arguments, name=name, daemon=False
        )
        process.start()
        return process

    @property
    def pids(self) -> list[int]:
        """Process numbers by rank."""
        return [process.pid or 0 for process in self._processes]

    def check(self) -> list[D4pyError]:
        """Return what has gone wrong in workers since the last call, by their numbers.

        Returns:
            The errors that workers reported, and a `WorkerLostError` for each that ended without
            a report, has not begun in time, or was stopped for too long; the last two are killed.
        """
        failures = [
            failure
            for number in range(len(self._processes))
            if number not in self._ended and (failure := self._check_worker(number)) is not None
        ]
        for number, pid, cause in self._frozen.look(self._not_ended()):
            self.kill(number)
            failures.append(WorkerLostError(number, pid, cause))
        self._families.ended(
            [
                self.pids[rank]
                for rank in self._ended
                if self.pids[rank] in self._families and not self._processes[rank].is_alive()
            ]
        )
        return failures

    def raise_on_failure(self) -> None:
        """Raise the first failure that `check` returns, for a run that no worker can leave.

        Raises:
            D4pyError: see `check`.
        """
        for failure in self.check():
            raise failure

    def _check_worker(self, number: int) -> D4pyError | None:
        """Read what a worker has reported; return its failure, if there is one."""
        process = self._processes[number]
        gone = not process.is_alive()  # asked before its last message is read
        message = self._last_message(number)
        if message is not None:
            self._ended.add(number)
            failure: D4pyError | None = pickle.loads(message) if message != _DONE else None
            return failure
        if gone:
            self._ended.add(number)
            self._families.lost(process.pid or 0)
            return WorkerLostError(number, process.pid or 0, self._cause_of_loss(number))
        try:
            self._watch.look(number, process.pid or 0)
        except WorkerStartError as error:
            self.kill(number)
            return error
        return None

    def _last_message(self, number: int) -> bytes | None:
        """Return the message with which a worker ends, if it has come; note those before it."""
        report = self._reports[number]
        message = _received(report)
        if message == _BEGUN:
            self._watch.begun(number)
            message = _received(report)
        if message is not None and message.startswith(_FINISHING):
            self._threads[number] = pickle.loads(message.removeprefix(_FINISHING))
            message = _received(report)
        return message

    def _cause_of_loss(self, number: int) -> str:
        exitcode = self._processes[number].exitcode or 0
        cause = exit_cause(exitcode)
        if exitcode == 1 and self._watch.is_starting(number):
            cause += " before it began"
            if self._how.method != "fork":
                cause += _UNREPORTED
        if number in self._threads:
            cause += f", while {name_threads(self._threads[number])} still ran"
        return cause

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
            look: called meanwhile, in place of `raise_on_failure`; it has to call `check`.
            name: what to call a worker in a message, by its number.

        Raises:
            D4pyError: see `check`.
        """
        look = look or self.raise_on_failure
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
        if self._zygote is not None:
            self._zygote.close()


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


def _worker_main(
    main: Callable[..., None],
    report: connection.Connection,
    arguments: tuple[Any, ...],
    warning: OneTimeClaim,
) -> None:
    leave_signals_to_parent()
    lead_session()
    with signals_held_back():
        # Tries the folder out with a file, which a worker that is ended would leave there.
        tempfile.gettempdir()
    signal.pthread_sigmask(signal.SIG_UNBLOCK, HELD_BACK)
    forget_inherited_fork_server()
    leave_zygotes_to_parent()
    begin_worker_process(warning.take)

    def fail(error: BaseException) -> None:
        report.send_bytes(picklable_error(error))
        report.close()
        flush_standard_streams()
        # Not sys.exit: nothing of the parent's that was forked along may run its clean-up here.
        os._exit(1)

    when_stuck(fail)
    try:
        with suppress(OSError):  # the parent is gone, which the next line sees to
            report.send_bytes(_BEGUN)
        side = WorkerContext(report)
        main(side, *arguments)
        end_worker_process(side.finishing)
        report.send_bytes(_DONE)
    except BaseException as error:
        flush_standard_streams()  # the parent, once it has the error, ends this process
        fail(error)


def leave_signals_to_parent() -> None:
    """Leave it to the parent to end this process when the user asks for the end of the run."""
    signal.signal(signal.SIGINT, take_no_notice)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def _received(report: connection.Connection) -> bytes | None:
    """What a worker sent, if it has."""
    try:
        return report.recv_bytes() if report.poll() else None
    except (EOFError, OSError):  # it ended, perhaps in the middle of sending
        return None


def picklable_error(error: BaseException) -> bytes:
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


def _as_ours(error: Exception, number: int) -> D4pyError:
    """Return why a worker could not be started, as an error of ours."""
    if isinstance(error, OSError) and error.errno in (errno.EAGAIN, errno.ENOMEM):
        return RunError(
            f"worker {number} cannot be started: {error}; take fewer processes, or have the limit"
            " on processes (ulimit -u) or on memory raised"
        )
    return OptionError(
        f"this system does not let processes be started ({error}); the mapping that runs here is"
        " 'simple'"
    )


def exit_cause(exitcode: int) -> str:
    """What an exit status says in words; negative ones are signals."""
    if exitcode < 0:
        try:
            return f"killed by {signal.Signals(-exitcode).name}"
        except ValueError:
            return f"killed by signal {-exitcode}"
    return f"exit status {exitcode}"
