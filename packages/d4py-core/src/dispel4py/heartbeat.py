"""Whether a process of this machine goes on, as the system sees it from outside.

A process that computes, sleeps, or waits for a disk is healthy, however long a call of it keeps
Python's lock; one that was stopped (SIGSTOP, a debugger) is not, and no thread of its own could
say so.
"""

from __future__ import annotations

import enum


class State(enum.Enum):
    """What a process does."""

    RUNNING = "running"
    STOPPED = "stopped"
    ENDED = "ended"
    #: There is no /proc here.
    UNKNOWN = "unknown"


def state_of(pid: int) -> State:
    """Return what a process of this machine does.

    Args:
        pid: its number; one that is still listed because nobody has waited for it has ended.
    """
    try:
        with open(f"/proc/{pid}/stat", "rb") as stat:
            # The name of its program stands in brackets before, and may hold any of them.
            letter = stat.read().rpartition(b") ")[2][:1]
    except (FileNotFoundError, ProcessLookupError):
        return State.ENDED if _HAS_PROC else State.UNKNOWN
    except OSError:
        return State.UNKNOWN
    if letter in b"Tt":
        return State.STOPPED
    return State.ENDED if letter in b"ZXx" else State.RUNNING


def is_running(pid: int) -> bool:
    """Return whether a process of this machine is known to live and not to be stopped."""
    return state_of(pid) is State.RUNNING


def _has_proc() -> bool:
    try:
        with open("/proc/self/stat", "rb"):
            return True
    except OSError:
        return False


_HAS_PROC = _has_proc()
