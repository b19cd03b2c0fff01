"""I8 and I9: what a stateful PE keeps when another worker continues it, and what it cannot keep."""

import os
import re
import signal

import pytest

from d4py_conformance.chaos.faults import Killer, RunningSum, Ticks
from d4py_conformance.suite import chain
from dispel4py import IterativePE
from dispel4py.errors import RunError

ITEMS = 200
MEAN, MEDIAN = "mean", "median"


class Chooser(RunningSum):
    """Sends its sum, and whether its options are still those strings."""

    mode = None

    def __init__(self):
        super().__init__()
        self.first = {"mode": MEAN}

    def process(self, inputs):
        total = super().process(inputs)["output"]
        if self.mode is None:
            self.mode = MEDIAN  # it joins the state in the middle of the run
        return {"output": (total, self.mode is MEDIAN, self.first["mode"] is MEAN)}


class Scribe(IterativePE):
    """Writes to a file that it keeps open, and kills its process once, after some items.

    Args:
        path: the file.
        marker: a file that tells that it did.
        mode: how it opens the file.
    """

    stateful = True

    def __init__(self, path, marker, mode):
        super().__init__()
        self.path, self.marker, self.mode, self.count = path, marker, mode, 0

    def _preprocess(self):
        self.file = self.path.open(self.mode)

    def _process(self, data):
        self.count += 1
        if self.mode == "r":
            return int(next(self.file))
        self.file.write(f"{data}\n")
        self.file.flush()
        if self.count == ITEMS // 2 and not self.marker.exists():
            self.marker.write_text("")
            os.kill(os.getpid(), signal.SIGKILL)
        return data


class Reader(Scribe):
    """Reads lines in a loop of its own."""

    def _process(self, data):
        read = super()._process(data)
        if self.count == ITEMS // 2 and not self.marker.exists():
            self.marker.write_text("")
            os.kill(os.getpid(), signal.SIGKILL)
        return read


def test_i8_options_are_the_same_strings_when_workers_are_killed(execute):
    killer = Killer({50: "all", 200: "all"})
    execute(chain(Ticks(), Chooser()), ITEMS, 2, on_result=killer)
    assert killer.killed
    sums = [sum(range(1, number + 1)) for number in range(1, ITEMS + 1)]
    assert killer.outputs["Chooser1"]["output"] == [(total, True, True) for total in sums]


def test_i9_a_file_that_was_written_is_not_emptied_by_the_next_worker(execute, tmp_path, caplog):
    path = tmp_path / "file"
    pe = Scribe(path, tmp_path / "marker", "w")
    with caplog.at_level("INFO"), pytest.raises(RunError, match="was lost with its worker"):
        execute(chain(Ticks(), pe), ITEMS, 2)
    lines = path.read_text().split()
    assert lines == [str(n) for n in range(1, len(lines) + 1)]
    assert len(lines) >= ITEMS // 2
    assert re.search(rf"run fails if this worker is lost.*'file'.*{path}.*mode 'w'", caplog.text)


def test_i9_a_file_whose_position_is_unknown_is_not_continued(execute, tmp_path, caplog):
    path = tmp_path / "file"
    path.write_text("".join(f"{n}\n" for n in range(1, ITEMS + 1)))
    pe = Reader(path, tmp_path / "marker", "r")
    with caplog.at_level("INFO"), pytest.raises(RunError, match="was lost with its worker"):
        execute(chain(Ticks(), pe), ITEMS, 2)
    assert re.search(r"run fails if this worker is lost.*'file'.*readline\(\)", caplog.text)
