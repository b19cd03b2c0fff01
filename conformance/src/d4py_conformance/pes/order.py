"""PEs that report the order in which items arrive, and PEs that put them out of order."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from d4py_conformance.pes.common import Relay
from d4py_conformance.pes.memory import Gate, Tally
from dispel4py import GenericPE
from dispel4py.engine.items.stable_hash import stable_hash
from dispel4py.engine.planning.grouping import group_key


class Uneven(Relay):
    """Takes now a short, now a longer time for an item, so that replicas overtake each other.

    Sends what its function makes of the item, as often as there are elements; by default, the item.
    """

    def __init__(
        self, make: Callable[[Any], Sequence[Any]] | None = None, numprocesses: int = 3
    ) -> None:
        super().__init__(numprocesses=numprocesses)
        self.make = make

    def _process(self, data: Any) -> Any:
        time.sleep(str(data).encode()[-1] % 3 / 1000)
        if self.make is None:
            return data
        for made in self.make(data):
            self.write("output", made)
        return None


class Grouped(Uneven):
    """The same with items that are grouped by their first element."""

    def __init__(self, make: Callable[[Any], Sequence[Any]] | None = None) -> None:
        super().__init__(make)
        self.inputconnections["input"]["grouping"] = [0]


class Copied(Relay):
    """Two instances that each get every item and send it on."""

    def __init__(self) -> None:
        super().__init__(numprocesses=2)
        self.inputconnections["input"]["grouping"] = "all"


class Ends(Relay):
    """Writes at its beginning, at its end, and for every second item."""

    def _preprocess(self) -> None:
        self.write("output", f"begins {self.name}")

    def _process(self, data: Any) -> Any:
        return data if data % 2 else None

    def _postprocess(self) -> None:
        for i in range(3):
            self.write("output", f"ends {self.name} {i}")


class SeveralNumbers(GenericPE):
    """A root that writes 1, 2, 3, …, several per call, and at its beginning and its end."""

    def __init__(self, per_call: int) -> None:
        super().__init__()
        self._add_output("output")
        self.per_call, self.counter = per_call, 0

    def _preprocess(self) -> None:
        self.write("output", -1)

    def process(self, inputs: Any) -> None:
        for _ in range(self.per_call):
            self.counter += 1
            self.write("output", self.counter)

    def _postprocess(self) -> None:
        self.write("output", -3)


class TwoOutputs(GenericPE):
    """Sends an item to one output, then to the other one, or to none of them, by turns."""

    def __init__(self) -> None:
        super().__init__(2)
        self._add_input("input")
        self._add_output("left")
        self._add_output("right")

    def process(self, inputs: Any) -> None:
        data = inputs["input"]
        for turn in range(data % 4):
            self.write("right" if (data + turn) % 3 else "left", data * 10 + turn)


class InOrder(GenericPE):
    """Sends each item with its number among those that have come to the instance.

    Args:
        grouping: of its inputs.
        numprocesses: how many instances.
        inputs: names of its inputs, which are all ordered.
    """

    def __init__(
        self,
        grouping: Any = None,
        numprocesses: int = 1,
        inputs: Sequence[str] = ("input",),
    ) -> None:
        super().__init__(numprocesses)
        for name in inputs:
            self._add_input(name, grouping=grouping, ordered=True)
        self._add_output("output")
        self.count, self.mean = 0, 0.0

    def process(self, inputs: Any) -> dict[str, Any] | None:
        (data,) = inputs.values()
        self.count += 1
        return {"output": (self.count, data)}


class RunningMean(InOrder):
    """Sends the mean of all items so far."""

    def process(self, inputs: Any) -> dict[str, Any]:
        (data,) = inputs.values()
        self.count += 1
        self.mean += (data - self.mean) / self.count
        return {"output": self.mean}


class TopThree(InOrder):
    """Keeps the three best of (score, name); of those with the same score the earliest."""

    def __init__(self) -> None:
        super().__init__(grouping="global")
        self.best: list[Any] = []

    def process(self, inputs: Any) -> None:
        self.best = sorted([*self.best, inputs["input"]], key=lambda item: -item[0])[:3]

    def _postprocess(self) -> None:
        self.write("output", self.best)


class Picky(Uneven):
    """Raises at every fifth item; at every second of these after it has written something."""

    def _process(self, data: Any) -> Any:
        if data % 5 == 0:
            if data % 2:
                self.write("output", -data)
            raise ValueError(f"{data} is one too many")
        return super()._process(data)


class TaggedTally(Tally):
    """A tally whose items carry a key: the first item one that no other has."""

    def write(self, name: str, data: Any, **kwargs: Any) -> None:
        super().write(name, (FIRST_KEY if data == 1 else OTHER_KEY, data), **kwargs)


class GateForFirst(Gate):
    """Two instances, one of which gets the first item alone and is a gate; all others pass."""

    def __init__(self, tally: Path, count: int, verdict: Path) -> None:
        super().__init__(tally, count, verdict)
        self._add_input("input", grouping=[0])
        self.numprocesses = 2

    def _process(self, data: Any) -> Any:
        return super()._process(data) if data[0] == FIRST_KEY else data


#: Keys that lead to different instances out of two.
FIRST_KEY = 0
OTHER_KEY = next(
    key
    for key in range(1, 100)
    if (stable_hash(group_key((key,), (0,))) - stable_hash(group_key((FIRST_KEY,), (0,)))) % 2
)


class TellsProcess(InOrder):
    """Sends by ``process`` in which process it got each item, too."""

    def __init__(self) -> None:
        super().__init__()
        self._add_output("process")

    def process(self, inputs: Any) -> dict[str, Any]:
        return {**(super().process(inputs) or {}), "process": os.getpid()}
