"""The processes of this machine as ``/proc`` lists them; where there is no ``/proc``, none."""

from __future__ import annotations

import enum
import os
import signal
import time
from collections.abc import Iterable
from contextlib import suppress
from typing import NamedTuple

from dispel4py.processes.limits import ProcessLimits

_ENDED = (b"Z", b"X", b"x")


class State(enum.Enum):
    """The state of a process, as seen from outside."""

    RUNNING = "running"
    STOPPED = "stopped"
    ENDED = "ended"
    #: There is no /proc here.
    UNKNOWN = "unknown"


class Process(NamedTuple):
    """A process as it was listed; its pid alone may belong to another process later.

    Attributes:
        pid: process id.
        parent: pid of the parent.
        session: pid of the session's leader.
        started: start time, in the system's ticks since boot.
        state: a letter, see proc(5).
    """

    pid: int
    parent: int
    session: int
    started: int
    state: bytes

    @property
    def mark(self) -> str:
        """A name that no other process of this machine has; see `marks.make_mark`."""
        return f"{self.pid}@{self.started}"

    @property
    def command(self) -> str:
        """The command line, for a message; may be empty."""
        try:
            with open(f"/proc/{self.pid}/cmdline", "rb") as file:
                words = file.read(4096).rstrip(b"\0").split(b"\0")
        except OSError:
            return ""
        return b" ".join(words).decode(errors="replace")

    def is_there(self) -> bool:
        """Return whether the process still runs."""
        now = find_process(self.pid)
        return now is not None and now.started == self.started and now.state not in _ENDED

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the process, if it still runs."""
        if self.is_there():
            with suppress(ProcessLookupError, PermissionError):
                os.kill(self.pid, number)


def find_process(pid: int) -> Process | None:
    """Return the process with a pid; None if none is listed."""
    try:
        # The name of the program comes before, in brackets, and may contain any of them.
        state, parent, _, session, *more = _read_stat(pid).rpartition(b") ")[2].split()
    except (OSError, ValueError):
        return None
    return Process(pid, int(parent), int(session), int(more[15]), state)


def running_processes() -> list[Process]:
    """Return all processes of this user that run."""
    user, found = os.geteuid(), []
    with suppress(OSError), os.scandir("/proc") as entries:
        for entry in entries:
            if not entry.name.isdecimal():
                continue
            with suppress(OSError):  # it has exited meanwhile
                if entry.stat().st_uid == user:
                    process = find_process(int(entry.name))
                    if process is not None and process.state not in _ENDED:
                        found.append(process)
    return found


def wait_for_exit(
    processes: Iterable[Process], seconds: float, limits: ProcessLimits = ProcessLimits()
) -> list[Process]:
    """Wait until processes have exited; return those that have not after so many seconds."""
    until = time.monotonic() + seconds
    remaining = list(processes)
    while remaining := [process for process in remaining if process.is_there()]:
        if time.monotonic() >= until:
            break
        time.sleep(limits.descendant_poll_seconds)
    return remaining


def state_of(pid: int) -> State:
    """Return the state of a process of this machine.

    A process that is still listed because its parent has not waited for it has ended.
    """
    try:
        letter = _read_stat(pid).rpartition(b") ")[2][:1]
    except (FileNotFoundError, ProcessLookupError):
        return State.ENDED if _HAS_PROC else State.UNKNOWN
    except OSError:
        return State.UNKNOWN
    if letter in b"Tt":
        return State.STOPPED
    return State.ENDED if letter in b"ZXx" else State.RUNNING


def _read_stat(pid: int) -> bytes:
    # A file object would double the number of system calls, for each process of the machine.
    file = os.open(f"/proc/{pid}/stat", os.O_RDONLY)
    try:
        return os.read(file, 4096)
    finally:
        os.close(file)


def is_running(pid: int) -> bool:
    """Return whether a process of this machine is known to live and not to be stopped."""
    return state_of(pid) is State.RUNNING


def boot_ticks() -> int:
    """Return the current time in the unit of `Process.started`; 0 where there is no such clock."""
    if not hasattr(time, "CLOCK_BOOTTIME"):
        return 0
    return int(time.clock_gettime(time.CLOCK_BOOTTIME) * os.sysconf("SC_CLK_TCK"))


def _has_proc() -> bool:
    try:
        with open("/proc/self/stat", "rb"):
            return True
    except OSError:
        return False


_HAS_PROC = _has_proc()
