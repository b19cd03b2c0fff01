"""What runs in a worker process: its set-up, its main function, and its end.

Workers lead sessions of their own, so Ctrl-C reaches the parent alone, which stops them.  A worker
whose parent is gone (kill -9) cleans up and ends.
"""

from __future__ import annotations

import os
import shutil
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from multiprocessing import connection, current_process, parent_process
from typing import Any

from dispel4py.exceptions.unwinding import ignore_signal
from dispel4py.files.socket_directory import temporary_folder
from dispel4py.files.unwritten_files import write_open_files
from dispel4py.processes.descendants import end_own_descendants
from dispel4py.processes.garbage import exempt_inherited
from dispel4py.processes.limits import ProcessLimits
from dispel4py.processes.marks import start_session
from dispel4py.processes.process_table import find_process, wait_for_exit
from dispel4py.processes.workers.exiting import (
    begin_worker_process,
    end_worker_process,
    set_abort_handler,
)
from dispel4py.processes.workers.one_time_claim import OneTimeClaim
from dispel4py.processes.workers.reports import ReportWriter
from dispel4py.processes.workers.start_methods import forget_inherited_fork_server
from dispel4py.processes.workers.zygote import leave_zygotes_to_parent
from dispel4py.standard_streams.output import flush_standard_streams
from dispel4py.stop_signals import STOP_SIGNALS


class WorkerContext:
    """A worker's access to its parent, the first argument of its main function.

    Args:
        writer: reports to the parent.
        limits: how often to check that the parent is there.
    """

    def __init__(self, writer: ReportWriter, limits: ProcessLimits) -> None:
        self._writer = writer
        self._limits = limits
        self._on_orphaned: Callable[[], None] = lambda: None
        threading.Thread(target=self._watch_parent, name="d4py-parent-watch", daemon=True).start()

    def finishing(self, threads: list[str]) -> None:
        """Report to the parent that the work is done, but that threads still run."""
        self._writer.finishing(threads)

    def on_orphaned(self, clean_up: Callable[[], None]) -> None:
        """Set a function to call when the parent is gone, just before the worker ends itself."""
        self._on_orphaned = clean_up

    def _watch_parent(self) -> None:
        parent, number = parent_process(), os.getppid()
        if parent is None:
            return
        # Workers that were forked later hold the sentinel open too, even if they are stopped.
        while not connection.wait([parent.sentinel], self._limits.orphan_poll_seconds):
            if os.getppid() != number:
                break
        try:
            # A parent that is there has given this worker up, and cleans up by itself.
            if self._has_ended(parent.pid):
                self._on_orphaned()
                # The folder of a fork server's socket, which its owner, the parent, cannot remove.
                folder = getattr(current_process(), "_config", {}).get("tempdir")
                if folder is not None:
                    shutil.rmtree(folder, ignore_errors=True)
        finally:
            end_own_descendants(limits=self._limits)
            os._exit(1)

    def _has_ended(self, pid: int | None) -> bool:
        """Return whether the parent has ended; one that is killed closes its connections first."""
        parent, limits = None if pid is None else find_process(pid), self._limits
        return parent is None or not wait_for_exit([parent], limits.parent_end_seconds, limits)


def run_worker(
    main: Callable[..., None],
    report: connection.Connection,
    arguments: tuple[Any, ...],
    warning: OneTimeClaim,
    limits: ProcessLimits,
) -> None:
    """Run a worker in this process, which was started for that.

    Args:
        main: called as ``main(context, *arguments)`` with a `WorkerContext`.
        report: the connection to the parent.
        arguments: see `main`.
        warning: claimed before a warning that one worker of a pool is to give.
        limits: see `ProcessLimits`.
    """
    if getattr(current_process(), "_start_method", None) == "fork":
        exempt_inherited()  # at once: loading what the worker runs may start the collector
    leave_signals_to_parent()
    start_session()
    with suppress(OSError):  # there may be no folder that can be written
        temporary_folder()  # found now, it is not looked for when the worker may be ended
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)
    forget_inherited_fork_server()
    leave_zygotes_to_parent()
    begin_worker_process(warning.take)
    writer = ReportWriter(report)

    def fail(error: BaseException) -> None:
        writer.failed(error)
        flush_standard_streams()
        # Not sys.exit: exit handlers of the parent that were inherited by a fork must not run here.
        os._exit(1)

    set_abort_handler(fail)
    try:
        with suppress(OSError):  # the parent is gone, which the next line deals with
            writer.begun()
        main(WorkerContext(writer, limits), *arguments)
        end_worker_process(writer.finishing)
        writer.done()
    except BaseException as error:
        # First: the parent, once it has the error, ends this process.
        with suppress(Exception):
            write_open_files()
        flush_standard_streams()
        fail(error)


def leave_signals_to_parent() -> None:
    """Leave it to the parent to end this process when the user interrupts the run."""
    signal.signal(signal.SIGINT, ignore_signal)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
