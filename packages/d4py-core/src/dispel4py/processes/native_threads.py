"""Threads that Python does not know, because a library has started them: may this process fork?

A fork copies the memory of a library, but none of its threads, so in the child it waits for ever
for what they would do.  Libraries that are prepared for forks either end their threads before one
(OpenBLAS, and so NumPy), which a trial shows, or are known by the names of their threads (ZeroMQ).
"""

from __future__ import annotations

import os
import signal
import sys
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from multiprocessing import connection
from pathlib import Path
from time import monotonic, sleep

_TASKS = Path("/proc/self/task")
#: How threads are called that nothing in a forked child waits for.
_HARMLESS = ("ZMQbg/",)
#: Numbers of threads that somebody has declared harmless.
_declared: set[str] = set()
#: Where a thread's flags stand behind its name in its `stat`, and the one that it is ending.
_FLAGS, _PF_EXITING = 6, 0x4
#: Seconds that a child has for doing nothing, and that new threads take at most to be named.
_TRIAL_SECONDS, _SETTLING_SECONDS = 2.0, 0.05


def lost_by_fork() -> bool:
    """Return whether libraries here have threads that they would miss in a forked process.

    It forks once to find out, if there are threads that Python does not know.  Where nobody can
    say which threads there are, it returns False.
    """
    if not _foreign():
        return False
    if not _forks():
        return True
    until = monotonic() + _SETTLING_SECONDS
    while _foreign():
        if monotonic() >= until:
            return True
        sleep(0.001)
    return False


@contextmanager
def harmless_threads() -> Iterator[None]:
    """Declare that what is started inside is nothing that a forked process would miss."""
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
    """Return how many threads Python knows, those included that `threading` does not."""
    return len(sys._current_frames())


def _foreign() -> bool:
    """Return whether there are threads that neither Python nor a well-known library has started."""
    try:
        count = sum(map(_matters, _TASKS.iterdir()))
    except OSError:  # not Linux
        return False
    return count > python_threads()


def _matters(task: Path) -> bool:
    """Return whether a thread is none of the harmless ones and does not end just now."""
    try:
        front, _, rest = (task / "stat").read_text().rpartition(")")
    except OSError:  # it has ended
        return False
    if task.name in _declared or int(rest.split()[_FLAGS]) & _PF_EXITING:
        return False
    return not front.partition("(")[2].startswith(_HARMLESS)


def _forks() -> bool:
    """Fork a child that does nothing; return whether it could do that."""
    watched, held = os.pipe()
    with no_warning_of_threads():
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
def no_warning_of_threads() -> Iterator[None]:
    """Fork without Python's warning that there are threads; they were looked at before."""
    with ExitStack() as stack:
        if sys.version_info >= (3, 12):
            stack.enter_context(warnings.catch_warnings())
            warnings.filterwarnings("ignore", ".*multi-threaded, use of .*fork", DeprecationWarning)
        yield
