"""How the worker processes of a run are started, and the options for that.

The start method is chosen once per run, before the run starts any thread or process, and holds for
workers that are started later too.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from multiprocessing import (
    current_process,
    forkserver,
    get_all_start_methods,
    resource_tracker,
)
from time import monotonic, sleep
from typing import Any, NamedTuple

from dispel4py.errors import OptionError, name_list
from dispel4py.files.socket_directory import shorten_multiprocessing_paths
from dispel4py.files.unwritten_files import write_before_fork
from dispel4py.processes import is_webassembly
from dispel4py.processes.limits import ProcessLimits
from dispel4py.processes.native_threads import (
    fork_warnings_suppressed,
    has_threads_lost_by_fork,
    python_threads,
)
from dispel4py.stop_signals import stop_signals_blocked

START_METHODS = ("fork", "forkserver", "spawn")
_ON_LINUX = sys.platform == "linux"
#: Exit status of a process that was to become a worker, but whose import of the main script made it
#: start a run.
RAN_IN_IMPORT = 96
#: How long a fork server may take to end once it has closed its connections.
_EXIT_SECONDS = 1.0


def add_start_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of commands and mappings that start worker processes; see `Start.of`."""
    parser.add_argument(
        "--start-method",
        choices=START_METHODS,
        help="how to start worker processes (default: the fastest method that is safe)",
    )
    parser.add_argument(
        "--start-timeout",
        type=float,
        metavar="SECONDS",
        help=f"how long a worker may take to begin (default: {ProcessLimits().start_seconds:g})",
    )


class Start(NamedTuple):
    """How the workers of a run are started.

    Attributes:
        method: one of `START_METHODS`.
        seconds: time that a worker has to begin.
    """

    method: str
    seconds: float = ProcessLimits().start_seconds

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> Start:
        """Return how the options of a run ask for workers to be started.

        Args:
            options: by the names of `add_start_arguments`.  Without a method the fastest that is
                safe now is chosen.

        Raises:
            OptionError: there is no such start method here, the time is not positive, or this
                platform has no processes.
        """
        method, seconds = options.get("start_method"), options.get("start_timeout")
        if is_webassembly():
            raise OptionError(
                f"Python on {sys.platform} cannot start processes; use the mapping 'simple'"
            )
        if method not in (None, *get_all_start_methods()):
            raise OptionError(
                f"the start method is {method!r}; it must be one of {name_list(START_METHODS)}"
            )
        if seconds is not None and not seconds > 0:
            raise OptionError(f"--start-timeout is {seconds!r}; it must be more than 0 seconds")
        method = method or safe_start_method()
        return cls(method) if seconds is None else cls(method, seconds)


def safe_start_method() -> str:
    """Return the fastest start method that is safe in the current state of this process.

    It is ``fork`` on Linux while there is one thread (a fork copies locks but no threads), or where
    the main program is a prompt or a notebook, whose own Python threads are harmless.  Where
    libraries have threads it is ``spawn``, since a fork server may have imported the main program,
    and the library with it.
    """
    if not _ON_LINUX:
        return "spawn"
    with stop_signals_blocked():
        if has_threads_lost_by_fork():
            return "spawn"
    return "forkserver" if python_threads() > 1 and has_main_script() else "fork"


def imports_main() -> bool:
    """Return whether this process imports the main script before it becomes a worker."""
    return getattr(current_process(), "_inheriting", False)


def end_if_imports_main() -> None:
    """End this process with the status `RAN_IN_IMPORT` if it imports the main script.

    The process that starts workers reports that, once, and with what to do; an error here would be
    printed by each of them.
    """
    if imports_main():
        from dispel4py.standard_streams.output import flush_standard_streams

        flush_standard_streams()
        os._exit(RAN_IN_IMPORT)


def fork_server_status() -> int | None:
    """Return the exit status of the fork server; None if it goes on or its status is not known."""
    server: Any = forkserver
    pid = server._forkserver._forkserver_pid
    if pid is None or not hasattr(os, "waitid"):  # macOS has it since Python 3.13
        return None
    until = monotonic() + _EXIT_SECONDS
    while monotonic() < until:
        try:
            # Left to be waited for: multiprocessing does that, too.
            ended = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT | os.WNOHANG)
        except ChildProcessError:  # it has done that already
            return None
        if ended is not None:
            return ended.si_status
        sleep(0.01)
    return None


def main_is_shared(start_method: str | None = None) -> bool:
    """Return whether workers have what the main program defines, by a fork or by its script."""
    return (start_method or safe_start_method()) == "fork" or has_main_script()


def has_main_script() -> bool:
    """Return whether the main program is a file, which other processes can import."""
    return os.path.exists(getattr(sys.modules["__main__"], "__file__", None) or "")


@contextmanager
def ready_to_start(start_method: str) -> Iterator[None]:
    """Return a context in which processes can be started by a method.

    What multiprocessing itself needs is started before signals are blocked: its resource tracker
    unblocks them when it starts, and all processes of a fork server inherit its signal mask, those
    of the user's own code too.
    """
    with _as_no_daemon():
        if start_method != "fork":
            shorten_multiprocessing_paths()
            resource_tracker.ensure_running()
        if start_method == "forkserver":
            forget_inherited_fork_server()
            with missing_main_script_hidden():
                forkserver.ensure_running()
        if start_method == "fork":
            write_before_fork()
        with stop_signals_blocked(), missing_main_script_hidden(), fork_warnings_suppressed():
            yield


def forget_inherited_fork_server() -> None:
    """Let this process start a fork server of its own when it needs one.

    A fork server that was inherited by a fork is no child of this process, so multiprocessing,
    which checks whether it still runs, would raise `ChildProcessError`.
    """
    server: Any = vars(forkserver)["_forkserver"]
    if server._forkserver_pid is not None:
        try:
            os.waitid(os.P_PID, server._forkserver_pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            server._forkserver_pid = None


@contextmanager
def _as_no_daemon() -> Iterator[None]:
    """Return a context in which a daemonic process, such as a pool's worker, can start processes.

    multiprocessing refuses that, since they could outlive it.  Workers of d4py end with their
    parent.
    """
    config = getattr(current_process(), "_config", {})
    before = config.get("daemon")
    if before:
        config["daemon"] = False
    try:
        yield
    finally:
        if before:
            config["daemon"] = before


@contextmanager
def missing_main_script_hidden() -> Iterator[None]:
    """Return a context that hides a name of the main script that is no file (``<stdin>``).

    Workers that are started there do not try to import it.
    """
    main = sys.modules["__main__"]
    name = getattr(main, "__file__", None)
    if name is None or has_main_script():
        yield
        return
    del main.__file__
    try:
        yield
    finally:
        main.__file__ = name
