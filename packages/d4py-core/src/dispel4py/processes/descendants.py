"""The programs and processes that PEs have started: finding them, waiting for them, ending them.

Descendants of a worker are found by their parents while all processes between live, by the
worker's session, or by its mark (see `marks`).  Where there is no ``/proc``, none are found.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Collection

from dispel4py.logs import RUN_LOG
from dispel4py.processes.limits import ProcessLimits
from dispel4py.processes.marks import has_mark, own_marks
from dispel4py.processes.process_table import (
    Process,
    find_process,
    running_processes,
    wait_for_exit,
)

#: Processes of multiprocessing itself, which end with those that use them.  A tracker removes the
#: resources of processes that were killed, so it is left alone.
_TRACKER, _SERVER = "resource_tracker", "multiprocessing.forkserver"
#: Marks of children that `exempt_child` was called for.
_exempt: set[str] = set()


def descendants_of(workers: Collection[int], marks: Collection[str] = ()) -> list[Process]:
    """Return the running processes that some processes have started, directly or not.

    Args:
        workers: pids of these processes; none may belong to another process by now.
        marks: their marks, which find what has left the sessions of workers that have exited.
    """
    known = set(workers)
    others = [process for process in running_processes() if process.pid not in known]
    found = _with_marks(others, marks)
    known.update(process.pid for process in found)
    while children := _children_of(known, others):
        found += children
        known.update(process.pid for process in children)
    return [process for process in found if _TRACKER not in process.command]


def descendants_of_thread(native_id: int) -> list[Process]:
    """Return the running processes that a thread of this process has started, directly or not.

    Args:
        native_id: see `threading.Thread.native_id`.
    """
    try:
        with open(f"/proc/self/task/{native_id}/children", encoding="ascii") as file:
            text = file.read()
    except OSError:  # no such system, or the thread has ended
        return []
    children = [process for pid in text.split() if (process := find_process(int(pid)))]
    return [*children, *descendants_of([process.pid for process in children])]


def _with_marks(processes: Collection[Process], marks: Collection[str]) -> list[Process]:
    """Return the processes that have one of some marks."""
    wanted = {mark.encode(): int(mark.rpartition("@")[2]) for mark in marks if mark}
    since = min(wanted.values(), default=sys.maxsize)
    return [one for one in processes if one.started >= since and has_mark(one.pid, wanted)]


def _children_of(known: Collection[int], processes: Collection[Process]) -> list[Process]:
    """Return the unknown processes whose parent, or session, is a known process."""
    unknown = [process for process in processes if process.pid not in known]
    return [one for one in unknown if one.parent in known or one.session in known]


def exempt_child(pid: int) -> None:
    """Exempt a child of this process from `own_descendants`: the code that started it ends it.

    Only the child itself is exempt; what the child starts may belong to a PE.
    """
    process = find_process(pid)
    if process is not None:
        _exempt.add(process.mark)


def own_descendants() -> list[Process]:
    """Return the running descendants of this process, except those that are exempt."""
    started = descendants_of([os.getpid()], own_marks())
    return [process for process in started if process.mark not in _exempt]


def end_own_descendants(since: int = 0, limits: ProcessLimits = ProcessLimits()) -> None:
    """End all that this process has started: by SIGTERM, then by SIGKILL.

    Args:
        since: what was started before is left alone; see `process_table.boot_ticks`.
        limits: the time between the two signals.
    """
    end_processes([process for process in own_descendants() if process.started >= since], limits)
    if not since:
        kill_descendants([os.getpid()], own_marks(), limits)


def wait_for_own_descendants(limits: ProcessLimits = ProcessLimits()) -> None:
    """Wait for what this process has started; see `wait_for_descendants`."""
    descendants = own_descendants()
    wait_for_descendants(
        [process for process in descendants if _SERVER not in process.command], limits
    )


def wait_for_descendants(
    processes: Collection[Process], limits: ProcessLimits = ProcessLimits()
) -> None:
    """Wait until what PEs have left running has exited; end it if that takes long, and log that."""
    for process in wait_for_exit(processes, limits.descendant_seconds, limits):
        RUN_LOG.warning(
            "ended a program that a PE had left running, process %d (%s); let its postprocess()"
            " wait for it, or end it",
            *(process.pid, process.command[:80]),
        )
    end_processes(processes, limits)


def end_processes(processes: Collection[Process], limits: ProcessLimits = ProcessLimits()) -> None:
    """End some processes by SIGTERM, and by SIGKILL those that run on."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        for process in processes:
            process.send(number)
        processes = wait_for_exit(processes, limits.grace_seconds, limits)


def kill_descendants(
    workers: Collection[int], marks: Collection[str], limits: ProcessLimits = ProcessLimits()
) -> None:
    """Kill all that some processes have started, and what that has started meanwhile.

    Args:
        workers: see `descendants_of`.
        marks: see `descendants_of`.
        limits: how long to look for more.
    """
    until = time.monotonic() + limits.grace_seconds
    while (found := descendants_of(workers, marks)) and time.monotonic() < until:
        for process in found:
            process.send(signal.SIGKILL)
        wait_for_exit(found, limits.descendant_poll_seconds, limits)
