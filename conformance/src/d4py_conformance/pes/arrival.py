"""PEs that report how they have arrived where they run, and how much memory a run takes."""

from __future__ import annotations

import re
import sys
from functools import partial
from pathlib import Path
from typing import Any

import psutil

from d4py_conformance.pes.crashing import crash_once
from dispel4py import ConsumerPE, GenericPE, IterativePE, ProducerPE

#: Words of this program, which Python interns.
MEAN, MEDIAN, NORM = "mean", "median", "norm"

#: Lines of what Linux reports of a process's memory: its part of memory that belongs to no file.
_OWN_MEMORY = re.compile(r"^Pss_(?:Anon|Shmem): +(\d+) kB$", re.MULTILINE)


class Options(IterativePE):
    """Sends, for each of its options, whether it is the very string that it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.mode = MEAN
        self.more: dict[str, Any] = {"norm": NORM, "modes": [MEAN, (MEDIAN, {"deep": NORM})]}

    def _process(self, data: Any) -> list[bool]:
        first, (second, rest) = self.more["modes"]
        norms = self.more["norm"] is NORM, rest["deep"] is NORM
        return [self.mode is MEAN, first is MEAN, second is MEDIAN, *norms]


class Asked(ProducerPE):
    """A root that sends whether what it is called with is the very string that it should be."""

    def __init__(self) -> None:
        super().__init__()
        self._add_input("mode", optional=True)

    def _process(self, inputs: dict[str, Any]) -> bool:
        return inputs["mode"] is MEDIAN


def is_mean(data: Any, mode: str) -> bool:
    """For a `SimpleFunctionPE` with the parameter `mode`."""
    return mode is MEAN


class Weight(IterativePE):
    """Holds so many bytes."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.held = bytearray(b"\x01") * size

    def _process(self, data: Any) -> Any:
        assert self.held[-1] == 1
        return data


def reports_memory() -> bool:
    """Return whether this system reports what `note_megabytes` needs: Linux 5.4 or later."""
    try:
        return bool(_OWN_MEMORY.search(Path("/proc/self/smaps_rollup").read_text()))
    except OSError:
        return False


def note_megabytes(file: Path, parent: int, *result: Any) -> None:
    """Add a line to a file: what all that a process has started take; shared memory counts once.

    Files that are mapped, such as libraries, are left out: a process is charged with more of them
    when others end that have mapped them as well.

    Args:
        file: the file.
        parent: number of that process, which is left out itself.
        result: of the run; ``on_result`` takes this function with its first arguments bound.
    """
    started = psutil.Process(parent).children(recursive=True)
    with file.open("a") as lines:
        lines.write(f"{sum(_megabytes(process.pid) for process in started)}\n")


def _megabytes(process: int) -> float:
    try:
        report = Path(f"/proc/{process}/smaps_rollup").read_text()
    except OSError:  # it has ended
        return 0.0
    return sum(int(kilobytes) for kilobytes in _OWN_MEMORY.findall(report)) * 1024 / 1e6


class HoldsFile(ConsumerPE):
    """Has a file open from the beginning, which no other process can have."""

    def __init__(self, path: Path, mode: str) -> None:
        super().__init__()
        self.file = path.open(mode)

    def _process(self, data: Any) -> None:
        pass


class HoldsStream(IterativePE):
    """Has held standard error since before the run, and sends whether it is that of its process."""

    def __init__(self) -> None:
        super().__init__()
        self.report = partial(print, file=sys.__stderr__)

    def _process(self, data: Any) -> bool:
        return self.report.keywords["file"] in (sys.stderr, sys.__stderr__)


class Lines(GenericPE):
    """A root that reads a number from each line of a file, and kills its process once.

    Args:
        path: the file.
        at: the number after which it does.
        marker: see `crash_once`.
    """

    def __init__(self, path: Path, at: int, marker: Path) -> None:
        super().__init__()
        self._add_output("output")
        self.path, self.at, self.marker = path, at, marker

    def _preprocess(self) -> None:
        self.file = self.path.open()

    def process(self, inputs: Any) -> dict[str, Any]:
        number = int(self.file.readline())
        if number == self.at:
            crash_once(self.marker)
        return {"output": number}
