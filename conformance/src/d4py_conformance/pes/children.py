"""PEs that start programs and processes, take long, or stop their worker: rules I10, C4, C5."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path
from typing import Any

from d4py_conformance.pes.common import DRIVER, Relay
from d4py_conformance.waiting import NEVER
from dispel4py import IterativePE

#: Content of the file that a PE leaves once it is at work.
IN_CALLER, IN_WORKER = "caller", "worker"


class Leaves(Relay):
    """Leaves a file with the kind of process in which it runs.

    Args:
        trace: the file.
    """

    def __init__(self, trace: Path) -> None:
        super().__init__()
        self.trace = trace

    def leave(self) -> None:
        """Leave the file; it is complete from the start."""
        is_caller = os.environ.get(DRIVER) == str(os.getpid())
        part = self.trace.with_suffix(f".{os.getpid()}")
        part.write_text(IN_CALLER if is_caller else IN_WORKER)
        part.replace(self.trace)


class StartsPrograms(Leaves):
    """Starts programs, one in a session of its own, and a process, and waits for none of them.

    Args:
        trace: the file that is left when all run.
        fails: it raises then; otherwise the call takes long.
    """

    def __init__(self, trace: Path, *, fails: bool) -> None:
        super().__init__(trace)
        self.fails = fails

    def _process(self, data: Any) -> Any:
        for own_session in (False, True):
            subprocess.Popen(["sleep", str(NEVER)], start_new_session=own_session)
        if os.fork() == 0:
            time.sleep(NEVER)
            os._exit(0)
        self.leave()
        if self.fails:
            raise ValueError("with all that still running")
        time.sleep(NEVER)
        return data


class LongCall(Leaves):
    """Makes a call that takes long, itself or by a program.

    Args:
        trace: the file that is left before.
        by_program: a program takes long.
    """

    def __init__(self, trace: Path, *, by_program: bool) -> None:
        super().__init__(trace)
        self.by_program = by_program

    def _process(self, data: Any) -> Any:
        if not self.by_program:
            self.leave()
            time.sleep(NEVER)
            return data
        program = subprocess.Popen(["sleep", str(NEVER)])
        try:  # as `subprocess.run` does, but for the file
            self.leave()
            program.wait()
        finally:
            program.kill()
            program.wait()
        return data


class StopsItsWorker(Relay):
    """Has the first process that calls it stopped, as by ``kill -STOP``.

    Args:
        marker: a file that is not there yet; holds the number of the process afterwards.
    """

    def __init__(self, marker: Path) -> None:
        super().__init__()
        self.marker = marker

    def _process(self, data: Any) -> Any:
        own = os.getpid()
        try:
            with self.marker.open("x") as file:
                file.write(IN_CALLER if os.environ.get(DRIVER) == str(own) else str(own))
        except FileExistsError:
            return data
        if self.marker.read_text() == str(own):
            os.kill(own, signal.SIGSTOP)
        return data


class ForkedWorkers(IterativePE):
    """Has a forked process do something with each item, and sends the item and its exit status.

    Attributes:
        ends: what these processes do last; none of them ends itself.
    """

    ends = ("return", "return nothing", "raise", "sys.exit")

    def _process(self, data: Any) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # a process that has threads forks
            child = os.fork()
        if not child:
            match self.ends[data % len(self.ends)]:
                case "return":
                    return -data
                case "return nothing":
                    return None
                case "raise":
                    raise ValueError("in a process of its own")
                case "sys.exit":
                    sys.exit(3)
        return data, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
