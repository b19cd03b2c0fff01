"""Marks in the environments of processes, by which what a worker has started is found again.

Each worker leads a session and has a mark in its environment, which whatever it starts inherits:
also a program that has left the session, and whose parent has exited.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from contextlib import suppress

from dispel4py.processes.process_table import boot_ticks, find_process

#: The environment variable with the marks: that of the worker last, before it those of the
#: processes that have started the worker.
MARK_VARIABLE = "D4PY_WORKER"
_PREFIX = f"{MARK_VARIABLE}=".encode()


def start_session() -> None:
    """Make this process the leader of a session, and mark all that it starts.

    In a session of its own, no signal of the terminal reaches what a PE has started before the run
    has decided how to end it.
    """
    with suppress(OSError):  # it leads one already
        os.setsid()
    mark_environment()


def mark_environment() -> None:
    """Mark all that this process starts from now on."""
    process = find_process(os.getpid())
    if process is not None:
        os.environ[MARK_VARIABLE] = with_mark(process.mark)


def make_mark() -> str:
    """Return a new mark for processes that are about to be started.

    Behind the last @ of a mark stands the earliest start time of its processes, so that the
    environments of older ones need not be read.
    """
    return f"{os.urandom(8).hex()}@{boot_ticks()}"


def with_mark(mark: str) -> str:
    """Return the value of `MARK_VARIABLE` for a process that is to have a mark."""
    return f"{os.environ.get(MARK_VARIABLE, '')} {mark}".strip()


def own_marks() -> list[str]:
    """Return the mark of this process in a list; an empty list where there is no /proc."""
    process = find_process(os.getpid())
    return [] if process is None else [process.mark]


def has_mark(pid: int, marks: Collection[bytes]) -> bool:
    """Return whether a process has one of some marks in its environment."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            values = [line for line in file.read().split(b"\0") if line.startswith(_PREFIX)]
    except OSError:  # it has exited meanwhile, or runs with other rights
        return False
    return any(not set(line[len(_PREFIX) :].split()).isdisjoint(marks) for line in values)
