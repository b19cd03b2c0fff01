"""The end of a worker process as that of a program: threads finish, then exit handlers run.

multiprocessing ends most processes without exit handlers.  A worker waits for its threads that are
no daemons, however long they take, and runs the exit handlers that were registered in it.  What was
inherited from the parent by a fork is left to the parent.  A thread that raised is an error.
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
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from dispel4py.errors import RunError
from dispel4py.files.unwritten_files import note_open_files, write_open_files
from dispel4py.processes.user_code_thread import UserCodeThread
from dispel4py.standard_streams.input import empty_standard_input
from dispel4py.standard_streams.output import flush_standard_streams, write_whole_lines

#: Pid of the process that imported this module; differs from that of a process forked since.
_IMPORTED_BY = os.getpid()

_problems: list[str] = []
#: See `set_abort_handler`; by pid, since processes that a PE forks are no workers, and by thread if
#: the PEs of one thread have a handler of their own.
_abort_handlers: dict[tuple[int, int | None], Callable[[BaseException], None]] = {}


def begin_worker_process(may_warn: Callable[[], object] = lambda: True) -> None:
    """Prepare this process for `end_worker_process`, at the start of a worker process.

    Exit handlers and thread pools that were inherited by a fork are dropped, and exceptions that
    end threads are noted from now on.  Lines are printed whole, and standard input is empty.

    Args:
        may_warn: see `dispel4py.standard_streams.input.empty_standard_input`.
    """
    if os.getpid() != _IMPORTED_BY:
        _leave_exit_handlers_to_parent()
        _leave_thread_pools_to_parent()
    write_whole_lines()
    empty_standard_input(may_warn)
    threading.excepthook = partial(_note_exception, threading.excepthook)


def end_worker_process(report: Callable[[list[str]], None] = lambda names: None) -> None:
    """Wait for threads and run exit handlers, as Python does at the end of a program.

    Threads that are no daemons, those of `concurrent.futures` too, are waited for, however long
    they take.  After that no thread can be started and no future be submitted.

    Args:
        report: gets the names of the threads that still run, before they are waited for.

    Raises:
        RunError: a thread has raised, or buffered or printed data could not be written.
    """
    names = running_threads()
    if names:
        report(names)
    threading._shutdown()  # type: ignore[attr-defined]
    _problems.extend(run_exit_handlers())
    if _problems:
        raise RunError("; ".join(_problems))


def run_exit_handlers() -> list[str]:
    """Run exit handlers and write buffered data; return what could not be written."""
    atexit._run_exitfuncs()
    if os.getpid() == _IMPORTED_BY:  # else they were noted, and looking for them copies memory
        note_open_files()
    return write_open_files() + flush_standard_streams()


def set_abort_handler(fail: Callable[[BaseException], None]) -> None:
    """Set how `abort_call` ends this process, which is a worker.

    Args:
        fail: gets the error to report; called from a thread of the run's own.
    """
    _abort_handlers[os.getpid(), None] = fail


@contextmanager
def abort_handler_of_thread(fail: Callable[[BaseException], None]) -> Iterator[None]:
    """Set how `abort_call` ends the calls of PEs that this thread makes in the block.

    Args:
        fail: see `set_abort_handler`.
    """
    key = os.getpid(), threading.get_ident()
    _abort_handlers[key] = fail
    try:
        yield
    finally:
        del _abort_handlers[key]


def abort_call(error: BaseException, caller: int) -> None:
    """End this process, a worker, or a call of a PE that goes on though the run has failed.

    Args:
        error: the reason why the run has failed.
        caller: the thread that is in the call.  In the user's own program the main thread is
            interrupted as by Ctrl-C; no other thread can be.
    """
    pid = os.getpid()
    fail = _abort_handlers.get((pid, caller)) or _abort_handlers.get((pid, None))
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
        if _is_waited_for(thread) and thread is not threading.current_thread()
    ]


def has_left_threads() -> bool:
    """Return whether threads go on that PEs have started, or in which one is being called."""
    return bool(running_threads()) or any(
        isinstance(thread, UserCodeThread) for thread in threading.enumerate()
    )


def _is_waited_for(thread: threading.Thread) -> bool:
    return not thread.daemon and not isinstance(thread, UserCodeThread)


def _note_exception(
    show: Callable[[threading.ExceptHookArgs], Any], arguments: threading.ExceptHookArgs
) -> None:
    """Show an exception that ends a thread, and note it unless the thread is a daemon."""
    show(arguments)
    thread = arguments.thread
    if arguments.exc_type is SystemExit or thread is None or not _is_waited_for(thread):
        return
    reason = traceback.format_exception_only(arguments.exc_type, arguments.exc_value)
    _problems.append(
        f"the thread {thread.name!r}, which a PE has started, failed: {''.join(reason).strip()}"
    )


def _leave_exit_handlers_to_parent() -> None:
    atexit._clear()
    finalize: Any = weakref.finalize  # no public way to list those of the parent
    for finalizer in [*finalize._registry]:
        finalizer.atexit = False
    if finalize._registered_with_atexit:
        atexit.register(finalize._exitfunc)
    atexit.register(_end_logging, [*_log_handlers()])


def _leave_thread_pools_to_parent() -> None:
    """Drop the threads of pools that were started before the fork, which do not exist here.

    `concurrent.futures` would join them at exit, and this thread may be one of them: that of a pool
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
    """Flush and close the log handlers that were created in this process."""
    known = set(map(id, inherited))
    logging.shutdown([reference for reference in _log_handlers() if id(reference) not in known])
