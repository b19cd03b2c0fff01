"""The end of a worker process, which is that of a program: threads finish, exit handlers run.

multiprocessing ends most processes without the exit handlers of what they did.  Here everything
that began in a worker ends as in a Python program of its own: threads that are no daemons are
waited for, however long they take, then come the exit handlers.  What was inherited from the
parent by a fork is left to the parent.  A thread that raised makes this an error.
"""

from __future__ import annotations

import _thread
import atexit
import logging
import os
import signal
import sys
import threading
import traceback
import weakref
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from dispel4py.errors import RunError
from dispel4py.files.held_files import flush_left_open
from dispel4py.standard_streams.input import leave_standard_input
from dispel4py.standard_streams.output import flush_standard_streams, write_whole_lines

#: The process that imported this module; another one that finds it so was forked.
_IMPORTED_BY = os.getpid()


_problems: list[str] = []


def begin_worker_process(may_warn: Callable[[], object] = lambda: True) -> None:
    """Make this process one that can end as a program; call it at the start of a worker process.

    The exit handlers and thread pools that were inherited by a fork are forgotten, and the
    exceptions that end threads are noted from now on.  Lines are printed whole, and standard input
    is empty.

    Args:
        may_warn: see `dispel4py.standard_streams.input.leave_standard_input`.
    """
    if os.getpid() != _IMPORTED_BY:
        _leave_exit_handlers_to_parent()
        _leave_thread_pools_to_parent()
    write_whole_lines()
    leave_standard_input(may_warn)
    threading.excepthook = partial(_note_exception, threading.excepthook)


def end_worker_process(report: Callable[[list[str]], None] = lambda names: None) -> None:
    """End what this process has begun, as Python does at the end of a program.

    Threads that are no daemons, those of `concurrent.futures` too, are waited for, however long
    they take.  No thread can be started, and no future be submitted, after that.

    Args:
        report: gets the names of the threads that still run, before they are waited for.

    Raises:
        RunError: a thread has raised, or what waited in a file or was printed could not be written.
    """
    names = running_threads()
    if names:
        report(names)
    threading._shutdown()  # type: ignore[attr-defined]
    try:
        flush_left_open()
    except Exception as error:
        reason = traceback.format_exception_only(error)[-1].strip()
        _problems.append(f"what waited in a file could not be written: {reason}")
    atexit._run_exitfuncs()
    _problems.extend(flush_standard_streams())
    if _problems:
        raise RunError("; ".join(_problems))


#: See `when_stuck`; by the process that has said so, not one that a PE has forked.
_fail: dict[int, Callable[[BaseException], None]] = {}


def when_stuck(fail: Callable[[BaseException], None]) -> None:
    """Say how to end this process, a worker, where a run has failed and a PE does not return.

    Args:
        fail: gets the error to report; called from a thread of the run's own.
    """
    _fail[os.getpid()] = fail


def end_stuck(error: BaseException, caller: int) -> None:
    """End a call of a PE that goes on though the run has failed, or this process if it is a worker.

    Args:
        error: the reason why the run has failed.
        caller: the thread that is in the call.  In a program of the user's own, the main thread is
            interrupted as by Ctrl-C; any other one cannot be.
    """
    fail = _fail.get(os.getpid())
    if fail is not None:
        fail(error)
    elif caller == threading.main_thread().ident and callable(signal.getsignal(signal.SIGINT)):
        if hasattr(signal, "pthread_kill"):
            signal.pthread_kill(caller, signal.SIGINT)
        else:
            _thread.interrupt_main()


def running_threads() -> list[str]:
    """Return the names of the threads that keep a program from ending."""
    return [
        thread.name
        for thread in threading.enumerate()
        if not thread.daemon and thread is not threading.current_thread()
    ]


def name_threads(names: Sequence[str]) -> str:
    """Return the threads that are waited for as they stand in a message."""
    if len(names) == 1:
        return f"its thread {names[0]!r}"
    return f"its threads {', '.join(map(repr, names))}"


def _note_exception(
    show: Callable[[threading.ExceptHookArgs], Any], arguments: threading.ExceptHookArgs
) -> None:
    """Show an exception that ends a thread as always, and note it unless the thread is a daemon."""
    show(arguments)
    thread = arguments.thread
    if arguments.exc_type is SystemExit or thread is None or thread.daemon:
        return
    reason = traceback.format_exception_only(arguments.exc_type, arguments.exc_value)
    _problems.append(
        f"the thread {thread.name!r}, which a PE has started, failed: {''.join(reason).strip()}"
    )


def _leave_exit_handlers_to_parent() -> None:
    atexit._clear()
    finalize: Any = weakref.finalize  # has no public way to ask for those of the parent
    for finalizer in [*finalize._registry]:
        finalizer.atexit = False
    if finalize._registered_with_atexit:
        atexit.register(finalize._exitfunc)
    atexit.register(_end_logging, [*_log_handlers()])


def _leave_thread_pools_to_parent() -> None:
    """Forget the threads of pools that were begun before the fork, which left them behind.

    At its end `concurrent.futures` joins them, and this thread may be one of theirs: that of a pool
    in which the run was started.
    """
    pools = sys.modules.get("concurrent.futures.thread")
    if pools is not None:
        vars(pools)["_threads_queues"].clear()


def _log_handlers() -> list[Any]:
    """Return weak references to all handlers of `logging`."""
    handlers: list[Any] = vars(logging)["_handlerList"]
    return handlers


def _end_logging(inherited: list[Any]) -> None:
    """Flush and close the log handlers that were made here."""
    known = set(map(id, inherited))
    logging.shutdown([reference for reference in _log_handlers() if id(reference) not in known])
