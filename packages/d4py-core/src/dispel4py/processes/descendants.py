"""What the workers of a pool have started, followed from each worker's start to its end.

What a lost worker has started is killed before its work is done again.  When a run is stopped, all
that is there is ended.  When a run ends well, what PEs have left running may finish for a while.
"""

from __future__ import annotations

import signal
from collections.abc import Collection

from dispel4py.processes.children import Process, kill_all, see_off, seen, started_by, wait_for


class Descendants:
    """The workers that were started and what came of each, by process number."""

    def __init__(self) -> None:
        #: Marks of those whose numbers belong to nobody else yet.
        self._marks: dict[int, str] = {}
        self._left: list[Process] = []

    def __contains__(self, pid: int) -> bool:
        return pid in self._marks

    def begin(self, pid: int) -> None:
        """Follow a worker that was just started."""
        process = seen(pid)
        self._marks[pid] = "" if process is None else process.mark

    def lost(self, pid: int) -> None:
        """Kill at once what a worker has started that was killed, for its work is done again."""
        mark = self._marks.pop(pid, None)
        if mark is not None:
            kill_all([pid], [mark])

    def ended(self, pids: Collection[int]) -> None:
        """Take note of what workers have left that have just ended by themselves."""
        if pids:
            self._left += started_by(pids, [self._marks.pop(pid) for pid in pids])

    def running(self) -> list[Process]:
        """Return all that runs."""
        left = [process for process in self._left if process.is_there()]
        if not (self._marks or left):
            return []
        known = [*self._marks, *(process.pid for process in left)]
        return left + started_by(known, self._marks.values())

    def see_off(self) -> None:
        """Let what was left by workers that ended well finish; see `children.see_off`."""
        see_off(self.running())
        self._left.clear()

    def send(self, processes: Collection[Process], number: signal.Signals) -> None:
        """Send a signal to some of what runs."""
        for process in processes:
            process.send(number)

    def end(self, known: Collection[Process], seconds: float) -> None:
        """Kill all that runs after some time.

        Args:
            known: what got SIGTERM, from `running`.
            seconds: the time that this has to end.
        """
        remaining = wait_for(known, seconds)
        self.send(remaining, signal.SIGKILL)
        if self._marks:
            kill_all(self._marks, self._marks.values())
        self._marks.clear()
        self._left.clear()
