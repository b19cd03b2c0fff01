"""The PEs that most tests are made from.

Worker processes import them, so they live outside the tests.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from d4py_conformance.waiting import wait_until
from dispel4py import BasePE, GenericPE, IterativePE, ProducerPE
from dispel4py.engine.limits import EngineLimits

#: In an isolated run, this environment variable is the number of the process that called `run`.
DRIVER = "D4PY_CONFORMANCE_DRIVER"


class Numbers(ProducerPE):
    """Sends 1, 2, 3, …, one per call."""

    def __init__(self) -> None:
        super().__init__()
        self.counter = 0

    def _process(self, inputs: Any) -> int:
        self.counter += 1
        return self.counter


class Emit(ProducerPE):
    """Writes all of the given items in each call."""

    def __init__(self, items: Iterable[Any]) -> None:
        super().__init__()
        self.items = list(items)

    def _process(self, inputs: Any) -> None:
        for item in self.items:
            self.write("output", item)


class Relay(IterativePE):
    """Sends what it gets."""

    def __init__(self, name: str | None = None, numprocesses: int = 1) -> None:
        super().__init__()
        self.name = name or self.name
        self.numprocesses = numprocesses

    def _process(self, data: Any) -> Any:
        return data


class Tag(IterativePE):
    """Sends ``(tag, item)``."""

    def __init__(self, tag: str) -> None:
        super().__init__()
        self.tag = tag

    def _process(self, data: Any) -> tuple[str, Any]:
        return self.tag, data


class Ports(GenericPE):
    """Sends ``(names of the inputs that this call came with, item)``."""

    def __init__(self, *inputs: str) -> None:
        super().__init__()
        for name in inputs:
            self._add_input(name)
        self._add_output("output")

    def process(self, inputs: dict[str, Any]) -> dict[str, Any]:
        (data,) = inputs.values()
        return {"output": (*inputs, data)}


class Sorter(BasePE):
    """Sends even numbers to ``even``, odd ones to ``odd``, and writes each one twice to ``all``."""

    def __init__(self) -> None:
        super().__init__(inputs=["input"], outputs=["even", "odd", "all"])

    def process(self, inputs: dict[str, Any]) -> dict[str, Any]:
        number = inputs["input"]
        self.write("all", number)
        self.write("all", number)
        return {"odd" if number % 2 else "even": number}


class Silent(IterativePE):
    """Sends nothing, by returning ``{}`` for even numbers and None for odd ones."""

    def process(self, inputs: dict[str, Any]) -> dict[str, Any] | None:
        return None if inputs["input"] % 2 else {}


class Pause(Relay):
    """Sends what it gets after some seconds."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds = seconds

    def _process(self, data: Any) -> Any:
        time.sleep(self.seconds)
        return data


class WaitsFor(Relay):
    """Sends what it gets once there is a file.

    Args:
        file: the file.
        at: the only item that waits; None for all.
    """

    def __init__(self, file: Path, at: Any = None) -> None:
        super().__init__()
        self.file = file
        self.at = at

    def _process(self, data: Any) -> Any:
        if self.at in (None, data):
            wait_until(self.file.exists, f"the file {self.file}")
        return data


class Identity(IterativePE):
    """Sends its own id and rank, and logs a line."""

    def _process(self, data: Any) -> tuple[str, Any]:
        self.log(f"at {data}")
        return self.id, self.rank


class Clock(IterativePE):
    """Sends the time, in seconds, at which an item came."""

    def _process(self, data: Any) -> float:
        return time.time()


class Where(Relay):
    """Sends ``(item, number of the process that it came to)``."""

    def _process(self, data: Any) -> tuple[Any, int]:
        return data, os.getpid()


class PlacedNumbers(Numbers):
    """Sends ``(n, number of the process)``."""

    def _process(self, inputs: Any) -> Any:
        return super()._process(inputs), os.getpid()


class PartialSum(IterativePE):
    """Sends the sum of what it got when it ends; the sum of those is the whole."""

    ignored_state = ("sum",)

    def __init__(self) -> None:
        super().__init__()
        self.sum = 0

    def _process(self, data: int) -> None:
        self.sum += data

    def _postprocess(self) -> None:
        self.write("output", self.sum)


class WritesAndWaits(ProducerPE):
    """Writes some items at once, and waits in the same call until a file is there.

    Args:
        count: number of items: 0, 1, …
        path: the file.
    """

    def __init__(self, count: int, path: Path) -> None:
        super().__init__()
        self.count = count
        self.path = path

    def _process(self, inputs: Any) -> None:
        for number in range(self.count):
            self.write("output", number)
        wait_until(self.path.exists, "the last item at its end")


class MakesFile(IterativePE):
    """Makes a file when it gets an item, and sends what it gets.

    Args:
        last: the item.
        path: the file.
    """

    def __init__(self, last: Any, path: Path) -> None:
        super().__init__()
        self.last = last
        self.path = path

    def _process(self, data: Any) -> Any:
        if data == self.last:
            self.path.touch()
        return data


class MakesFileById(MakesFile):
    """The same with ids of items."""

    item_ids = True


class MakesFileInOrder(MakesFile):
    """The same with an ordered input."""

    def __init__(self, last: Any, path: Path) -> None:
        super().__init__(last, path)
        self.add_input("input", ordered=True)


class WritesNowAndThen(WritesAndWaits):
    """Pauses after each item, so that each is sent by itself as long as there is room."""

    def _process(self, inputs: Any) -> None:
        for number in range(self.count):
            self.write("output", number)
            time.sleep(2 * EngineLimits().linger_seconds)
        self.path.with_name("written").touch()
        wait_until(self.path.exists, "the last item at its end")


class BeginsLate(MakesFile):
    """Begins once all is written."""

    def _process(self, data: Any) -> Any:
        wait_until(self.path.with_name("written").exists, "the last item at its beginning")
        return super()._process(data)
