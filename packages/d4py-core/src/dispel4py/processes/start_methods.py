"""How the worker processes of a run are started.

The start method is chosen once per run, before anything of the run's own is started, and workers
that are started later are started in the same way.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import (
    current_process,
    forkserver,
    get_all_start_methods,
    resource_tracker,
)
from typing import Any

from dispel4py.errors import OptionError, name_list
from dispel4py.files.socket_folder import let_multiprocessing_use_short_paths
from dispel4py.processes.native_threads import lost_by_fork, no_warning_of_threads, python_threads

START_METHODS = ("fork", "forkserver", "spawn")
#: Seconds that a worker may take to begin, unless the user says otherwise.
START_SECONDS = 120.0

_ON_LINUX = sys.platform == "linux"
#: Systems whose `multiprocessing` imports but starts nothing: Python in WebAssembly.
_WITHOUT_PROCESSES = ("emscripten", "wasi")
#: Signals that stop a program, which wait while processes are started.
HELD_BACK = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def usable_cores() -> int:
    """How many cores this process may use: the ``"auto"`` of `dispel4py.run`."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def add_start_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of whatever starts worker processes; `Start.of` reads them."""
    parser.add_argument(
        "--start-method",
        choices=START_METHODS,
        help="how worker processes are started (default: the quickest that is safe)",
    )
    parser.add_argument(
        "--start-timeout",
        type=float,
        metavar="SECONDS",
        help=f"give up a worker that has not begun for so long (default: {START_SECONDS:g})",
    )


@dataclass(frozen=True)
class Start:
    """How the workers of a run are started.

    Attributes:
        method: one of `START_METHODS`.
        seconds: how long a worker may take to begin.
    """

    method: str
    seconds: float = START_SECONDS

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> Start:
        """Return what the options ask for, or else the quickest method that is safe now.

        Args:
            options: by the names of `add_start_arguments`; those that are missing or None are
                chosen.

        Raises:
            OptionError: there is no such start method here, the time is not positive, or this
                platform has no processes.
        """
        method, seconds = options.get("start_method"), options.get("start_timeout")
        if sys.platform in _WITHOUT_PROCESSES:
            raise OptionError(
                f"Python on {sys.platform} cannot start processes; the mapping that runs here is"
                " 'simple'"
            )
        if method not in (None, *get_all_start_methods()):
            raise OptionError(
                f"no start method {method!r} here (there are: {name_list(START_METHODS)})"
            )
        if seconds is not None and not seconds > 0:
            raise OptionError(f"the start timeout is {seconds!r}; it has to be more than 0 seconds")
        return cls(method or safe_start_method(), START_SECONDS if seconds is None else seconds)


def safe_start_method() -> str:
    """Return the quickest start method that is safe, as things are now.

    ``fork`` on Linux while there is one thread (a fork copies locks but no threads).  Where the
    main program is a prompt or a notebook, which has Python threads of its own, these are no
    hindrance.  Threads of libraries are everywhere; then it is ``spawn``, since a fork server may
    have imported the main program, and the library with it.
    """
    if not _ON_LINUX:
        return "spawn"
    with signals_held_back():
        if lost_by_fork():
            return "spawn"
    return "forkserver" if python_threads() > 1 and has_main_script() else "fork"


def imports_main() -> bool:
    """This is a process that imports the main script before it becomes a worker."""
    return getattr(current_process(), "_inheriting", False)


def main_is_shared(start_method: str | None = None) -> bool:
    """Workers know what the main program defines: they are forked, or import its script."""
    return (start_method or safe_start_method()) == "fork" or has_main_script()


def has_main_script() -> bool:
    """The main program is a file, which other processes can import."""
    return os.path.exists(getattr(sys.modules["__main__"], "__file__", None) or "")


@contextmanager
def ready_to_start(start_method: str) -> Iterator[None]:
    """Let processes be started inside, by that method.

    What multiprocessing itself needs is started before, while no signal is held back.  Its
    resource tracker lets signals in again when it starts.  And a fork server hands on what it
    holds back to all its processes, those of the user's own code too.
    """
    with _as_no_daemon():
        if start_method != "fork":
            let_multiprocessing_use_short_paths()
            resource_tracker.ensure_running()
        if start_method == "forkserver":
            forget_inherited_fork_server()
            with no_script_where_there_is_none():
                forkserver.ensure_running()
        with signals_held_back(), no_script_where_there_is_none(), no_warning_of_threads():
            yield


def forget_inherited_fork_server() -> None:
    """Let this process start a fork server of its own when it needs one.

    One that was inherited by a fork is no child of this process, so multiprocessing, which asks
    whether it still runs, would raise `ChildProcessError`.
    """
    server: Any = vars(forkserver)["_forkserver"]
    if server._forkserver_pid is not None:
        try:
            os.waitid(os.P_PID, server._forkserver_pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            server._forkserver_pid = None


@contextmanager
def _as_no_daemon() -> Iterator[None]:
    """Start processes also where multiprocessing calls this one daemonic, as workers of pools are.

    It would refuse, lest they be left behind.  Our workers end when their parent does.
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
def signals_held_back() -> Iterator[None]:
    """Signals wait, here and in processes started here, until those deal with them their way."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, HELD_BACK)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def no_script_where_there_is_none() -> Iterator[None]:
    """Workers do not look for the script of a main program that was typed or piped in."""
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
