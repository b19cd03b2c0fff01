"""Programs that a test starts, interrupts and kills, with everything that they start themselves.

For what only a whole program shows: how it ends, what it prints, what it leaves behind.  Processes
are looked for in ``/proc``.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO

#: Seconds after which something that should happen soon has not.
LIMIT = 30.0


def wait_until(condition: Callable[[], object], what: str, seconds: float = LIMIT) -> None:
    """Wait for a condition; fail after a while."""
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, f"waited {seconds} s in vain: {what}"
        time.sleep(0.005)


class Program:
    """A Python program in a session of its own.

    Args:
        folder: where it runs.
        arguments: those of Python.
        environment: its environment.
        standard_input: what it reads; nothing by default.
    """

    def __init__(
        self,
        folder: Path,
        arguments: tuple[object, ...],
        environment: Mapping[str, str],
        standard_input: IO[str] | None = None,
    ) -> None:
        self.process = subprocess.Popen(
            [sys.executable, *map(str, arguments)],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL if standard_input is None else standard_input,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def members(self) -> list[int]:
        """Numbers of its processes that live, its own among them."""
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
            except (FileNotFoundError, ProcessLookupError):
                continue
            if int(fields[3]) == self.process.pid and fields[0] != "Z":
                found.append(int(folder.name))
        return found

    def end(self, timeout: float = LIMIT) -> tuple[int, str, str]:
        """Its status, output and error output, when it has ended."""
        out, err = self.process.communicate(timeout=timeout)
        return self.process.returncode, out, err

    def clean_up(self) -> None:
        """Kill what is left of it."""
        for pid in self.members():
            os.kill(pid, signal.SIGKILL)
        self.process.wait()
        for pipe in (self.process.stdout, self.process.stderr):
            assert pipe is not None
            pipe.close()
