"""Workers that are killed while a run goes on, and PEs that show if an item was lost or doubled.

`Killer` is given to a run as ``on_result``: it kills worker processes when so many results have
come, so that the run is always in the middle, and nothing depends on how fast the machine is.
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Mapping
from multiprocessing import active_children
from pathlib import Path
from typing import Any

from dispel4py import GenericPE, IterativePE

#: Whom `Killer` can kill: the worker that has the root, another one, or all of them at once.
VICTIMS = ("root", "other", "all")


class Ticks(GenericPE):
    """A root that sends 1, 2, 3, … with a pause after each, and its process on ``process``.

    Args:
        seconds: how far isolated.
    """

    def __init__(self, seconds: float = 0.002) -> None:
        super().__init__()
        self._add_output("output")
        self._add_output("process")
        self.seconds, self.number = seconds, 0

    def process(self, inputs: Any) -> dict[str, Any]:
        time.sleep(self.seconds)
        self.number += 1
        return {"output": self.number, "process": os.getpid()}


class Fetched(Ticks):
    """The same with independent calls: sends the `number` that a call came with."""

    independent_calls = True

    def process(self, inputs: Any) -> dict[str, Any]:
        time.sleep(self.seconds)
        return {"output": inputs["number"], "process": os.getpid()}


class Name(IterativePE):
    """Sends (word, number), with a few words over and over."""

    def _process(self, data: int) -> tuple[str, int]:
        return "abcde"[data % 5], data


class Count(GenericPE):
    """Counts items per word, in three instances, and sends (word, count) each time."""

    def __init__(self) -> None:
        super().__init__(3)
        self._add_input("input", grouping=[0])
        self._add_output("output")
        self.counts: Counter[str] = Counter()

    def process(self, inputs: Any) -> dict[str, Any]:
        word, _ = inputs["input"]
        self.counts[word] += 1
        return {"output": (word, self.counts[word])}


class RunningSum(GenericPE):
    """Sends the sum of all that it got, each time."""

    def __init__(self) -> None:
        super().__init__()
        self._add_input("input", grouping="global")
        self._add_output("output")
        self.total = 0

    def process(self, inputs: Any) -> dict[str, Any]:
        self.total += inputs["input"]
        return {"output": self.total}


class Heard(GenericPE):
    """Two instances that each get every item, and send them all at the end."""

    def __init__(self) -> None:
        super().__init__(2)
        self._add_input("input", grouping="all")
        self._add_output("output")
        self.items: list[Any] = []

    def process(self, inputs: Any) -> None:
        self.items.append(inputs["input"])

    def _postprocess(self) -> None:
        self.write("output", sorted(self.items))


class Replica(IterativePE):
    """Stateless, but sends at its end how many items it had; sends its process for each."""

    had = 0

    def _process(self, data: Any) -> int:
        self.had += 1
        return os.getpid()

    def _postprocess(self) -> None:
        self.write("output", f"had {self.had}")


class Deadly(IterativePE):
    """Kills its own process at an item."""

    def __init__(self, at: Any) -> None:
        super().__init__()
        self.at = at

    def _process(self, data: Any) -> Any:
        if data == self.at:
            os.kill(os.getpid(), signal.SIGKILL)
        return data


class Files(IterativePE):
    """Writes each item to a file that is named after its id, and sends it on.

    A log in the same folder records each time, see `written_files`.

    Args:
        folder: where to.
        deadly_at: an item after whose first file it kills its own process.
    """

    item_ids = True

    def __init__(self, folder: Path, deadly_at: Any = None, stateful: bool = False) -> None:
        super().__init__()
        self.folder, self.deadly_at, self.stateful = str(folder), deadly_at, stateful

    def _process(self, data: Any) -> Any:
        path = Path(self.folder, f"{self.id} {self.item_id}")
        part = path.with_suffix(f".{os.getpid()}")
        part.write_text(str(data))
        is_new = not path.exists()
        part.replace(path)
        _note(self.folder, f"{path.name} {data}")
        if is_new and data == self.deadly_at:
            os.kill(os.getpid(), signal.SIGKILL)
        return data


def written_files(folder: Path) -> tuple[dict[str, str], list[str]]:
    """Return what `Files` has written: name → content, and the lines ``name content``."""
    files = {path.name: path.read_text() for path in folder.glob("* *") if not path.suffix}
    return files, (folder / "log").read_text().splitlines()


class Readings(GenericPE):
    """A root that sends 1, 2, 3, … in one call, with pauses, each time with its process.

    If it is lost it goes on from there.  A log records where it began, each time.

    Args:
        folder: where the log is.
        count: how many to send.
        seconds: how far isolated.
    """

    seeks = True

    def __init__(self, folder: Path, count: int, seconds: float = 0.002) -> None:
        super().__init__()
        self._add_output("output")
        self._add_output("process")
        self.folder, self.count, self.seconds = str(folder), count, seconds

    def process(self, inputs: Any) -> None:
        sent = self.sent_before
        _note(self.folder, str(sent["process"]))
        for number in range(sent["process"], self.count):
            time.sleep(self.seconds)
            if number >= sent["output"]:
                self.write("output", number + 1)
            self.write("process", os.getpid())


def _note(folder: str, line: str) -> None:
    """Add a line to a log that several processes write."""
    with Path(folder, "log").open("a") as log:
        log.write(f"{line}\n")


class Killer:
    """Gets the results of a run with a root of `Ticks`, and kills its workers meanwhile.

    Args:
        plan: after how many results to kill which worker; see `VICTIMS`.

    Attributes:
        outputs: PE id → output → items, without those of the output ``process``.
        killed: the processes that it killed.
    """

    def __init__(self, plan: Mapping[int, str]) -> None:
        self.outputs: dict[str, dict[str, list[Any]]] = {}
        self.killed: set[int] = set()
        self._plan = plan
        self._results = 0
        self._root: int | None = None

    def __call__(self, pe_id: str, output: str, item: Any) -> None:
        """Take a result."""
        self._results += 1
        if output == "process":
            self._root = item
        else:
            self.outputs.setdefault(pe_id, {}).setdefault(output, []).append(item)
        if self._results in self._plan:
            self._kill(self._plan[self._results])

    def _kill(self, which: str) -> None:
        workers = {child.pid or 0 for child in active_children()} - self.killed
        other = sorted(workers - {self._root})[:1]
        root = workers & {self._root}
        for pid in {"root": root, "other": other, "all": workers}[which]:
            os.kill(pid, signal.SIGKILL)
            self.killed.add(pid)


def some_faults(seed: int, results: int, count: int) -> dict[int, str]:
    """Return a plan for a `Killer` by a seed: so many kills among so many results."""
    chance = random.Random(seed)
    return {at: chance.choice(VICTIMS) for at in chance.sample(range(1, results), count)}
