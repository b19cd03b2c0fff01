"""The descendants of a pool's workers, tracked from each worker's start until they have exited.

The descendants of a lost worker are killed before its work is repeated.  When a run is stopped, all
are ended.  After a run that ended well, they have some seconds to finish.  If this process is
killed, an `OrphanReaper` ends what workers cannot end themselves.
"""

from __future__ import annotations

import signal
from collections.abc import Collection

from dispel4py.processes.descendants import (
    descendants_of,
    kill_descendants,
    wait_for_descendants,
)
from dispel4py.processes.limits import ProcessLimits
from dispel4py.processes.orphan_reaper import OrphanReaper
from dispel4py.processes.process_table import Process, find_process, wait_for_exit


class WorkerDescendants:
    """The workers of a pool by pid, and what they have started.

    Args:
        limits: how long to wait for descendants.
    """

    def __init__(self, limits: ProcessLimits = ProcessLimits()) -> None:
        self._limits = limits
        #: Marks by pid, of workers whose pids cannot belong to another process yet.
        self._marks: dict[int, str] = {}
        self._left: list[Process] = []
        self._reaper: OrphanReaper | None = None

    def __contains__(self, pid: int) -> bool:
        return pid in self._marks

    def add(self, pid: int) -> None:
        """Track a worker that was just started; `guard` has to follow."""
        process = find_process(pid)
        self._marks[pid] = "" if process is None else process.mark

    def guard(self, pids: Collection[int]) -> None:
        """Let workers that were added be ended if this process is killed."""
        if not pids:
            return
        if self._reaper is None:
            self._reaper = OrphanReaper(self._limits.orphan_seconds)
        self._reaper.add(*(-pid for pid in pids))  # with what they start in their process groups

    def kill_of(self, pid: int) -> None:
        """Kill what a lost worker has started, before its work is repeated."""
        if pid in self._marks:
            kill_descendants([pid], self._forget([pid]), self._limits)

    def on_exit(self, pids: Collection[int]) -> None:
        """Note what workers that have just exited by themselves have left running."""
        if pids:
            self._left += descendants_of(pids, self._forget(pids))

    def running(self) -> list[Process]:
        """Return all descendants that run."""
        left = [process for process in self._left if process.is_there()]
        if not (self._marks or left):
            return []
        known = [*self._marks, *(process.pid for process in left)]
        return left + descendants_of(known, self._marks.values())

    def wait(self) -> None:
        """Wait for all descendants, after a run that ended well; see `wait_for_descendants`."""
        wait_for_descendants(self.running(), self._limits)
        self._left.clear()

    def send(self, processes: Collection[Process], number: signal.Signals) -> None:
        """Send a signal to some descendants."""
        for process in processes:
            process.send(number)

    def kill(self, known: Collection[Process], seconds: float) -> None:
        """Kill all descendants after some time.

        Args:
            known: those that got SIGTERM, from `running`.
            seconds: time that these have to exit.
        """
        remaining = wait_for_exit(known, seconds, self._limits)
        self.send(remaining, signal.SIGKILL)
        if self._marks:
            kill_descendants(self._marks, self._marks.values(), self._limits)
        self._marks.clear()
        self._left.clear()
        if self._reaper is not None:
            self._reaper.close()
            self._reaper = None

    def _forget(self, pids: Collection[int]) -> list[str]:
        """Return the marks of workers whose pids may belong to other processes from now on."""
        if self._reaper is not None:
            self._reaper.remove(*(-pid for pid in pids))
        return [self._marks.pop(pid) for pid in pids]
