"""The worker processes of a run on this machine: started together, watched, and always stopped.

A worker that fails reports its error and exits.  However a worker ends, what its PEs have started
ends with it.
"""

from __future__ import annotations

import errno
import signal
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from multiprocessing import connection, get_context
from multiprocessing.process import BaseProcess
from time import monotonic
from typing import Any

from dispel4py.errors import D4pyError, OptionError, RunError, UsageError, WorkerLostError
from dispel4py.processes.limits import ProcessLimits
from dispel4py.processes.process_table import is_running
from dispel4py.processes.user_code_thread import describe_threads
from dispel4py.processes.workers.frozen_watch import FrozenWatch
from dispel4py.processes.workers.one_time_claim import OneTimeClaim
from dispel4py.processes.workers.process import run_worker
from dispel4py.processes.workers.reports import ReportReader
from dispel4py.processes.workers.shutdown_watch import ShutdownWatch
from dispel4py.processes.workers.start_methods import (
    RAN_IN_IMPORT,
    Start,
    fork_server_status,
    ready_to_start,
)
from dispel4py.processes.workers.start_watch import StartWatch
from dispel4py.processes.workers.tracking import WorkerDescendants
from dispel4py.processes.workers.zygote import Zygote

_UNREPORTED = (
    "; see what it printed; workers that are not forked import the main script, which"
    " must call run() below: if __name__ == '__main__':"
)
_RUNS_IN_IMPORT = (
    "the main script calls run() when a worker process imports it; call it below:"
    " if __name__ == '__main__':"
)


class WorkerPool:
    """Worker processes, numbered from 0.

    Args:
        main: main function of the workers, importable; called as ``main(context, *arguments)``
            with a `WorkerContext`.
        arguments: one tuple per worker; must be picklable.
        start: how they are started; None is the default of `Start.of`.
        frozen: finds workers that are stopped; None takes the default limit.
        common: an object that is part of the arguments, if more workers may be started later;
            forked workers have it without a copy.
        limits: see `ProcessLimits`.

    Attributes:
        pids: pids of the processes, by number.

    Raises:
        OptionError: this system does not let processes be started.
        RunError: this system does not let as many processes be started.
    """

    def __init__(
        self,
        main: Callable[..., None],
        arguments: Sequence[tuple[Any, ...]],
        start: Start | None = None,
        frozen: FrozenWatch | None = None,
        common: Any = None,
        limits: ProcessLimits = ProcessLimits(),
    ) -> None:
        self._main = main
        self._how = start or Start.of({})
        self._limits = limits
        self._start_watch = StartWatch(self._how, limits)
        self._frozen_watch = frozen or FrozenWatch(limits=limits)
        self._descendants = WorkerDescendants(limits)
        self._zygote: Zygote | None = None
        self._has_started = False  # the workers that are started together
        self.pids: list[int] = []
        self._processes: list[BaseProcess] = []
        self._reports: list[ReportReader] = []
        self._ended: set[int] = set()  # numbers of workers whose end is known to the caller
        self._warning = OneTimeClaim()
        try:
            if common is not None and self._how.method == "fork":
                with ready_to_start("fork"):
                    self._zygote = Zygote(run_worker, common)
            self._start_together(arguments)
        except BaseException:
            self.stop()
            raise

    def add(self, arguments: tuple[Any, ...]) -> None:
        """Start another worker, in the way of the others; its number is the next one."""
        self._start_together([arguments])

    def kill(self, number: int) -> None:
        """Kill a worker and what it has started; `check` does not return it."""
        self._ended.add(number)
        self._start_watch.remove(number)
        self._processes[number].kill()
        self._descendants.kill_of(self.pids[number])

    def is_running(self, number: int) -> bool:
        """Return whether a worker is known to live and not to be stopped; see `process_table`."""
        return is_running(self.pids[number])

    def finishing(self, number: int) -> list[str]:
        """Return the names of the threads that a worker waits for though its work is done."""
        return self._reports[number].threads or []

    def check(self) -> list[D4pyError]:
        """Return what has gone wrong in workers since the last call, by their numbers.

        Returns:
            The errors that workers reported, and a `WorkerLostError` for each that exited without
            a report, has not begun in time, or was stopped for too long; the last two are killed.
            A `UsageError` if a worker would have started a run when it imported the main script.
        """
        failures = [
            failure
            for number in range(len(self._processes))
            if number not in self._ended and (failure := self._check_worker(number)) is not None
        ]
        for number, pid, cause in self._frozen_watch.check(self._not_ended()):
            self.kill(number)
            failures.append(WorkerLostError(number, pid, cause))
        self._descendants.on_exit(
            [
                self.pids[number]
                for number in self._ended
                if self.pids[number] in self._descendants and not self._processes[number].is_alive()
            ]
        )
        return failures

    def raise_on_failure(self) -> None:
        """Raise the first failure that `check` returns, for a run that fails with any worker.

        Raises:
            D4pyError: see `check`.
        """
        for failure in self.check():
            raise failure

    def join(self, seconds: float) -> bool:
        """Wait for all workers to exit, for so many seconds; return whether all have."""
        until = monotonic() + seconds
        for process in self._processes:
            process.join(max(0.0, until - monotonic()))
        return not any(process.is_alive() for process in self._processes)

    def wait_until_ended(
        self,
        check: Callable[[], None] | None = None,
        name: Callable[[int], str] = "worker {}".format,
    ) -> None:
        """Wait for all workers to exit, however long, and for their descendants for a while.

        What the run waits for is logged if that takes long.

        Args:
            check: called meanwhile, in place of `raise_on_failure`; it has to call `check`.
            name: returns what to call a worker in a message, by its number.

        Raises:
            D4pyError: see `check`.
        """
        check = check or self.raise_on_failure
        watch = ShutdownWatch(self._limits)
        while not self.join(self._limits.exit_poll_seconds):
            check()
            watch.check(
                (name(number), self.finishing(number))
                for number, process in enumerate(self._processes)
                if process.is_alive()
            )
        check()
        self.wait_for_descendants()

    def wait_for_descendants(self) -> None:
        """Wait for a while for what PEs have left running, once all workers have ended well."""
        self._descendants.wait()

    def stop(self) -> None:
        """End all workers that run, and all that they have started: by SIGTERM, then by SIGKILL."""
        started = self._descendants.running()
        for process in self._processes:
            if process.is_alive():
                process.terminate()
        self._descendants.send(started, signal.SIGTERM)
        grace_seconds = self._limits.grace_seconds
        until = monotonic() + grace_seconds
        if not self.join(grace_seconds):
            for process in self._processes:
                if process.is_alive():
                    process.kill()
            self.join(grace_seconds)
        self._descendants.kill(started, until - monotonic())
        for report in self._reports:
            report.close()
        self._warning.close()
        if self._zygote is not None:
            self._zygote.close()

    def _start_together(self, arguments: Sequence[tuple[Any, ...]]) -> None:
        number = len(self.pids)
        with ready_to_start(self._how.method):
            try:
                for argument in arguments:
                    self._start(argument)
            finally:
                self._descendants.guard(self.pids[number:])
        self._has_started = True

    def _start(self, arguments: tuple[Any, ...]) -> None:
        number = len(self._processes)
        receiver, sender = connection.Pipe(duplex=False)
        try:
            process = self._start_process(
                f"d4py-worker-{number}",
                (self._main, sender, arguments, self._warning, self._limits),
            )
        except BaseException as error:
            receiver.close()
            if isinstance(error, OSError | EOFError | ImportError):
                raise _start_failure(error, number, self._how.method) from None
            raise
        finally:
            sender.close()
        pid = process.pid or 0
        self._start_watch.add(number)
        self._processes.append(process)
        self.pids.append(pid)
        self._descendants.add(pid)  # at once: the next start may find that it has exited
        self._reports.append(ReportReader(receiver, partial(self._start_watch.remove, number)))

    def _start_process(self, name: str, arguments: tuple[Any, ...]) -> BaseProcess:
        if self._zygote is not None and self._has_started:
            return self._zygote.start(name, arguments)
        context: Any = get_context(self._how.method)
        process: BaseProcess = context.Process(
            target=run_worker, args=arguments, name=name, daemon=False
        )
        process.start()
        return process

    def _check_worker(self, number: int) -> D4pyError | None:
        """Read what a worker has reported; return its failure, if there is one."""
        process, report, pid = self._processes[number], self._reports[number], self.pids[number]
        has_exited = not process.is_alive()  # asked before its last message is read
        error = report.read()
        if report.is_complete:
            self._ended.add(number)
            return error
        if has_exited:
            self._ended.add(number)
            self._descendants.kill_of(pid)
            if process.exitcode == RAN_IN_IMPORT and self._start_watch.is_starting(number):
                return UsageError(_RUNS_IN_IMPORT)
            return WorkerLostError(number, pid, self._cause_of_loss(number))
        late = self._start_watch.check(number, pid)
        if late is not None:
            self.kill(number)
        return late

    def _cause_of_loss(self, number: int) -> str:
        exitcode = self._processes[number].exitcode or 0
        cause = exit_cause(exitcode)
        if exitcode == 1 and self._start_watch.is_starting(number):
            cause += " before it began"
            if self._how.method != "fork":
                cause += _UNREPORTED
        threads = self._reports[number].threads
        if threads is not None:
            cause += f", while {describe_threads(threads)} still ran"
        return cause

    def _not_ended(self) -> Iterator[tuple[int, int]]:
        """Yield number and pid of each worker whose end is not known."""
        for number, pid in enumerate(self.pids):
            if number not in self._ended:
                yield number, pid


def exit_cause(exitcode: int) -> str:
    """Return what an exit status means, in words; negative ones are signals."""
    if exitcode < 0:
        try:
            return f"killed by {signal.Signals(-exitcode).name}"
        except ValueError:
            return f"killed by signal {-exitcode}"
    return f"exit status {exitcode}"


def _start_failure(error: Exception, number: int, method: str) -> D4pyError:
    """Return the error of d4py for an exception that the start of a worker has raised."""
    if method == "forkserver" and isinstance(error, ConnectionError | EOFError | FileNotFoundError):
        # Since Python 3.14 the fork server imports the main script, and ends where that raises.  If
        # it is killed, its workers end, and remove the folder of its socket.
        if fork_server_status() == RAN_IN_IMPORT:
            return UsageError(_RUNS_IN_IMPORT)
        return RunError(f"cannot start worker {number}: the fork server has ended{_UNREPORTED}")
    if isinstance(error, OSError) and error.errno in (errno.EAGAIN, errno.ENOMEM):
        return RunError(
            f"cannot start worker {number}: {error}; use fewer processes, or raise the limit"
            " on processes (ulimit -u) or on memory"
        )
    if isinstance(error, FileNotFoundError) and method == "spawn":
        return OptionError(f"cannot start worker {number}: {error}; is the current folder there?")
    return OptionError(f"cannot start processes on this system ({error}); use the mapping 'simple'")
