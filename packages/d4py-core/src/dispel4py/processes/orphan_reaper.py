"""`OrphanReaper`: ends processes that go on after this one was killed.

A worker ends itself when its parent is gone.  One that is in a call which keeps Python's lock
cannot, so a shell that waits for the end of this process ends what is left.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Collection
from contextlib import suppress

from dispel4py.processes.descendants import exempt_child

#: Reads which processes come and go, a line each, until the other end of the pipe is closed.  Then
#: looks five times a second whether any is there, and ends those that are left after so many looks.
_SCRIPT = (
    "looks=$1 signal=$2; shift 2; while read -r change target; do"
    ' for known; do shift; [ "$known" = "$target" ] || set -- "$@" "$known"; done;'
    ' if [ "$change" = add ]; then set -- "$@" "$target"; fi; done;'
    ' are_left() { for target; do kill -s 0 -- "$target" && return; done; return 1; };'
    ' while are_left "$@"; do'
    ' if [ "$((looks -= 1))" -lt 0 ]; then kill -s "$signal" -- "$@"; exit; fi; sleep 0.2; done'
)
_LOOKS_PER_SECOND = 5

#: Ends of pipes that this process writes to, and that no process forked from it may hold open.
_pipes: set[int] = set()


def _close_pipes() -> None:
    while _pipes:
        os.close(_pipes.pop())


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_close_pipes)


class OrphanReaper:
    """A shell that outlives this process for a while if that is killed.

    Where there is no POSIX shell, or no process can be started, it does nothing.

    Args:
        seconds: time that the processes have to end by themselves.
        number: the signal that those get that go on.
    """

    def __init__(self, seconds: float, number: signal.Signals = signal.SIGKILL) -> None:
        self._pid: int | None = None
        self._pipe = -1
        if not hasattr(os, "posix_spawnp"):
            return
        theirs, ours = os.pipe()
        _pipes.add(ours)
        try:
            with suppress(OSError):
                looks = round(_LOOKS_PER_SECOND * seconds)
                arguments = (str(looks), number.name.removeprefix("SIG"))
                self._pid = os.posix_spawnp(
                    "sh",
                    ["sh", "-c", _SCRIPT, "sh", *arguments],
                    os.environ,
                    file_actions=[
                        (os.POSIX_SPAWN_DUP2, theirs, 0),
                        *((os.POSIX_SPAWN_OPEN, n, os.devnull, os.O_WRONLY, 0) for n in (1, 2)),
                    ],
                    setpgroup=0,  # Ctrl-C is for this process alone
                )
        finally:
            os.close(theirs)
        self._pipe = ours
        if self._pid is None:
            self._close_pipe()
        else:
            exempt_child(self._pid)

    def add(self, *targets: int) -> None:
        """Add processes: their pids, or those of the leaders of process groups, negative."""
        self._write("add", targets)

    def remove(self, *targets: int) -> None:
        """Remove some that have ended: their numbers may be those of other processes by now."""
        self._write("remove", targets)

    def close(self) -> None:
        """End the shell, which then ends nothing; may be called twice."""
        if self._pid is not None and self._pipe in _pipes:
            with suppress(ProcessLookupError, ChildProcessError):
                os.kill(self._pid, signal.SIGKILL)
                os.waitpid(self._pid, 0)
            self._close_pipe()

    def _write(self, change: str, targets: Collection[int]) -> None:
        # At once: each write wakes the shell, which takes the processor from those that start.
        unsent = "".join(f"{change} {target}\n" for target in targets).encode()
        if self._pipe in _pipes:  # else there is no shell, or this process was forked
            with suppress(BrokenPipeError):  # the shell was killed
                while unsent:
                    unsent = unsent[os.write(self._pipe, unsent) :]

    def _close_pipe(self) -> None:
        _pipes.remove(self._pipe)
        os.close(self._pipe)
