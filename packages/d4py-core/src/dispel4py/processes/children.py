"""What PEs have started, programs and processes, and how it is ended.

Each worker leads a session of its own and has a mark in its environment.  So whatever a PE starts
is found: as a descendant while those between live, by its session, or by the mark, which a program
keeps that has left the session.  Where there is no /proc, nothing is known of it.
"""

from __future__ import annotations

import os
import secrets
import signal
import sys
import time
from collections.abc import Collection, Iterable
from contextlib import suppress
from typing import NamedTuple

from dispel4py.logs import RUN_LOG

#: The variable of a worker's environment, and of all that is started there, with its mark.  Before
#: it stand the marks of those that have started the worker.
MARK = "D4PY_WORKER"
#: Seconds that what a PE has started has to end after SIGTERM before it is killed.
GRACE_SECONDS = 1.0
#: Seconds that it may go on after the end of a run that went well.
LEFT_SECONDS = 5.0
_LOOK_SECONDS = 0.01
_VARIABLE = f"{MARK}=".encode()
_ENDED = (b"Z", b"X", b"x")
#: Processes of multiprocessing itself, which end with those that use them.  A tracker removes what
#: others have left that were killed, so it is left alone.
_TRACKER, _SERVER = "resource_tracker", "multiprocessing.forkserver"
#: What the program has started for its own use, by `Process.mark`; see `keep`.
_kept: set[str] = set()


class Process(NamedTuple):
    """A process as it was seen; its number alone may belong to another one later.

    Attributes:
        pid: its number.
        parent: that of its parent.
        session: that of the leader of its session.
        started: when it was started, in the system's ticks.
        state: a letter, see proc(5).
    """

    pid: int
    parent: int
    session: int
    started: int
    state: bytes

    @property
    def mark(self) -> str:
        """What nothing but it is called on this machine; see `make_mark`."""
        return f"{self.pid}@{self.started}"

    @property
    def command(self) -> str:
        """What it was started with, for a message; may be empty."""
        try:
            with open(f"/proc/{self.pid}/cmdline", "rb") as file:
                words = file.read(4096).rstrip(b"\0").split(b"\0")
        except OSError:
            return ""
        return b" ".join(words).decode(errors="replace")

    def is_there(self) -> bool:
        """Return whether it still runs."""
        now = seen(self.pid)
        return now is not None and now.started == self.started and now.state not in _ENDED

    def send(self, number: signal.Signals) -> None:
        """Send it a signal, if it still runs."""
        if self.is_there():
            with suppress(ProcessLookupError, PermissionError):
                os.kill(self.pid, number)


def seen(pid: int) -> Process | None:
    """Return a process that is listed; None if there is none of this number."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as stat:
            # After the name of its program, which stands in brackets and may hold any of them.
            state, parent, _, session, *more = stat.read().rpartition(b") ")[2].split()
    except (OSError, ValueError):
        return None
    return Process(pid, int(parent), int(session), int(more[15]), state)


def lead_session() -> None:
    """Make this process the leader of a session, and have all that it starts carry its mark.

    So no signal of the terminal reaches what a PE has started before the run has decided what
    becomes of it.
    """
    with suppress(OSError):  # it leads one already
        os.setsid()
    mark_environment()


def mark_environment() -> None:
    """Have all that this process starts carry its mark."""
    own = seen(os.getpid())
    if own is not None:
        os.environ[MARK] = marked(own.mark)


def make_mark() -> str:
    """Make a mark for processes that are about to be started.

    What stands behind the last @ of a mark is when its processes were started at the earliest, so
    that few have to be looked at for it.
    """
    return f"{secrets.token_hex(8)}@{ticks_now()}"


def marked(mark: str) -> str:
    """Return what `MARK` has to be in the environment of a process that is to have a mark."""
    return f"{os.environ.get(MARK, '')} {mark}".strip()


def started_by(workers: Collection[int], marks: Collection[str] = ()) -> list[Process]:
    """Return what still runs of all that some processes have started, directly or not.

    Args:
        workers: their numbers.  That of one that has ended must not belong to another process yet.
        marks: their marks, by which is found what has left the sessions of those that have ended.
    """
    family = set(workers)
    wanted = {mark.encode(): int(mark.rpartition("@")[2]) for mark in marks if mark}
    since = min(wanted.values(), default=sys.maxsize)
    rest = [process for process in _all() if process.pid not in family]
    found: list[Process] = []
    more = [one for one in rest if one.started >= since and _has_mark(one.pid, wanted)]
    while more or (more := [p for p in rest if p.parent in family or p.session in family]):
        found += more
        family.update(process.pid for process in more)
        rest = [process for process in rest if process.pid not in family]
        more = []
    return [process for process in found if _TRACKER not in process.command]


def keep(pid: int) -> None:
    """Leave a child of this process to the code that has started it and ends it in good order.

    It is no PE's; what it starts itself may well be, and is ended with the rest.
    """
    process = seen(pid)
    if process is not None:
        _kept.add(process.mark)


def started_here() -> list[Process]:
    """Return what still runs of all that this process has started, except what it is to `keep`."""
    started = started_by([os.getpid()], _own_marks())
    return [process for process in started if process.mark not in _kept]


def end_descendants(since: int = 0) -> None:
    """End all that this process has started: by SIGTERM, and what does not heed that by SIGKILL.

    Args:
        since: what was started before is left alone; see `ticks_now`.
    """
    end([process for process in started_here() if process.started >= since])
    if not since:
        kill_all([os.getpid()], _own_marks())


def ticks_now() -> int:
    """Return the time as `Process.started` has it; 0 where there is no such clock."""
    if not hasattr(time, "CLOCK_BOOTTIME"):
        return 0
    return int(time.clock_gettime(time.CLOCK_BOOTTIME) * os.sysconf("SC_CLK_TCK"))


def finish_descendants() -> None:
    """Let what this process has started finish, as `see_off` does."""
    see_off([process for process in started_here() if _SERVER not in process.command])


def see_off(processes: Collection[Process]) -> None:
    """Let finish what PEs have left running when all is done; end it if that takes long."""
    for process in wait_for(processes, LEFT_SECONDS):
        RUN_LOG.warning(
            "ended a program that a PE had left running, process %d (%s); let its postprocess()"
            " wait for it, or end it",
            *(process.pid, process.command[:80]),
        )
    end(processes)


def end(processes: Collection[Process], seconds: float = GRACE_SECONDS) -> None:
    """End some processes: by SIGTERM, and those that do not heed that by SIGKILL."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        for process in processes:
            process.send(number)
        processes = wait_for(processes, seconds)


def kill_all(workers: Collection[int], marks: Collection[str]) -> None:
    """Kill all that some processes have started, and what that has started meanwhile.

    Args:
        workers: see `started_by`.
        marks: see `started_by`.
    """
    until = time.monotonic() + GRACE_SECONDS
    while (found := started_by(workers, marks)) and time.monotonic() < until:
        for process in found:
            process.send(signal.SIGKILL)
        wait_for(found, _LOOK_SECONDS)


def wait_for(processes: Iterable[Process], seconds: float) -> list[Process]:
    """Wait until processes have ended; return those that have not after so many seconds."""
    until = time.monotonic() + seconds
    remaining = list(processes)
    while remaining := [process for process in remaining if process.is_there()]:
        if time.monotonic() >= until:
            break
        time.sleep(_LOOK_SECONDS)
    return remaining


def _own_marks() -> list[str]:
    own = seen(os.getpid())
    return [] if own is None else [own.mark]


def _all() -> list[Process]:
    """Return all processes of this user that run; none where there is no /proc."""
    user, found = os.geteuid(), []
    with suppress(OSError), os.scandir("/proc") as entries:
        for entry in entries:
            if not entry.name.isdecimal():
                continue
            with suppress(OSError):  # it has ended meanwhile
                if entry.stat().st_uid == user:
                    process = seen(int(entry.name))
                    if process is not None and process.state not in _ENDED:
                        found.append(process)
    return found


def _has_mark(pid: int, wanted: Collection[bytes]) -> bool:
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            values = [line for line in file.read().split(b"\0") if line.startswith(_VARIABLE)]
    except OSError:  # it has ended meanwhile, or runs with other rights
        return False
    return any(not set(line[len(_VARIABLE) :].split()).isdisjoint(wanted) for line in values)
