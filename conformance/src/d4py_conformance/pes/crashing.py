"""PEs that kill their worker process once."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

from d4py_conformance.pes.common import DRIVER, Numbers, Relay


class InDriverError(Exception):
    """A PE was to kill its worker, and the worker is the process that called `run`."""


def crash_once(marker: Path) -> None:
    """Kill this process with SIGKILL, the first time that any process asks for it.

    Args:
        marker: a file that is not there yet; holds the number of the process afterwards.
    """
    if os.environ.get(DRIVER) == str(os.getpid()):
        raise InDriverError("this PE runs in the process that called run()")
    try:
        with marker.open("x") as file:
            file.write(str(os.getpid()))
    except FileExistsError:
        return
    os.kill(os.getpid(), signal.SIGKILL)


class CrashingNumbers(Numbers):
    """Numbers whose worker is killed at one of them."""

    def __init__(self, marker: Path, at: int) -> None:
        super().__init__()
        self.marker = marker
        self.at = at

    def _process(self, inputs: Any) -> int:
        number = super()._process(inputs)
        if number == self.at:
            crash_once(self.marker)
        return number


class Crashing(Relay):
    """Sends what it gets; its worker is killed at one item."""

    def __init__(self, marker: Path, at: int) -> None:
        super().__init__()
        self.marker = marker
        self.at = at

    def _process(self, data: Any) -> Any:
        if data == self.at:
            crash_once(self.marker)
        return data


class CrashingCounter(Crashing):
    """Sends ``(item, how many came so far)``; its worker is killed at one item."""

    stateful = True

    def __init__(self, marker: Path, at: int) -> None:
        super().__init__(marker, at)
        self.count = 0

    def _process(self, data: Any) -> Any:
        self.count += 1
        return super()._process(data), self.count
