"""Threads of native libraries, which Python does not list: whether this process may fork.

A fork copies the memory of a library but none of its threads, so the library may wait for them for
ever in the child.  Libraries that support forks either end their threads before one (OpenBLAS, and
so NumPy), which a trial fork shows, or are known by the names of their threads: ZeroMQ, and
jemalloc, which Arrow and polars bring, and so pandas, and which does without them in the child.
"""

from __future__ import annotations

import os
import signal
import sys
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from multiprocessing import connection
from time import monotonic, sleep

_TASKS = "/proc/self/task"
#: Prefixes of the names of threads that nothing in a forked child waits for.
_FORK_SAFE = ("ZMQbg/", "jemalloc_bg_thd")
#: Ids of threads that were started in `fork_safe_threads`.
_declared: set[str] = set()
#: Position of a thread's flags behind its name in its `stat`, and the flag of one that exits.
_FLAGS, _PF_EXITING = 6, 0x4
#: Seconds that a trial child has to exit, and that new threads take at most to be named.
_TRIAL_SECONDS, _SETTLING_SECONDS = 2.0, 0.05


def has_threads_lost_by_fork() -> bool:
    """Return whether libraries have threads here that they need in a forked process.

    Forks once to find out, if there are threads that Python does not list.  Returns False where
    the threads of a process cannot be listed.
    """
    if not _foreign():
        return False
    if not _can_fork():
        return True
    until = monotonic() + _SETTLING_SECONDS
    while _foreign():
        if monotonic() >= until:
            return True
        sleep(0.001)
    return False


@contextmanager
def fork_safe_threads() -> Iterator[None]:
    """Return a context whose new threads count as not needed in a forked process."""
    before = _tasks()
    yield
    _declared.intersection_update(before)
    _declared.update(_tasks() - before)


def _tasks() -> set[str]:
    try:
        return set(os.listdir(_TASKS))
    except OSError:  # not Linux
        return set()


def python_threads() -> int:
    """Return how many threads run Python code, those included that `threading` does not list."""
    return len(sys._current_frames())


def _foreign() -> bool:
    """Return whether there are threads that neither Python nor a fork-safe library has started."""
    try:
        count = sum(map(_is_relevant, os.listdir(_TASKS)))
    except OSError:  # not Linux
        return False
    return count > python_threads()


def _is_relevant(task: str) -> bool:
    """Return whether a thread is not fork-safe and is not exiting."""
    try:
        with open(f"{_TASKS}/{task}/stat") as file:
            front, _, rest = file.read().rpartition(")")
    except OSError:  # it has ended
        return False
    if task in _declared or int(rest.split()[_FLAGS]) & _PF_EXITING:
        return False
    return not front.partition("(")[2].startswith(_FORK_SAFE)


def _can_fork() -> bool:
    """Fork a child that does nothing; return whether it has exited in time."""
    watched, held = os.pipe()
    with fork_warnings_suppressed():
        child = os.fork()
    if child == 0:
        os._exit(0)
    os.close(held)
    ended = bool(connection.wait([watched], _TRIAL_SECONDS))
    os.close(watched)
    if not ended:
        os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return ended


@contextmanager
def fork_warnings_suppressed() -> Iterator[None]:
    """Return a context without Python's warning of forks with threads, which were checked."""
    with ExitStack() as stack:
        if sys.version_info >= (3, 12):
            stack.enter_context(warnings.catch_warnings())
            warnings.filterwarnings("ignore", ".*multi-threaded, use of .*fork", DeprecationWarning)
        yield
