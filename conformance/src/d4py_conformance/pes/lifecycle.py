"""PEs that show their life cycle: preprocess, process and postprocess."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from d4py_conformance.pes.common import Numbers
from dispel4py import GenericPE, IterativePE


class Diary(GenericPE):
    """Writes down what happens to an instance, and sends the list when the instance ends.

    The list starts with ``"pre"``, once for each call of preprocess; the items follow.
    """

    def __init__(self, grouping: str | Sequence[Any] | None = None, numprocesses: int = 1) -> None:
        super().__init__(numprocesses)
        self._add_input("input", grouping=grouping)
        self._add_output("output")
        self.events: list[Any] = []

    def _preprocess(self) -> None:
        self.events.append("pre")

    def _process(self, inputs: dict[str, Any]) -> None:
        self.events.append(inputs["input"])

    def _postprocess(self) -> None:
        self.write("output", self.events)


class KeptDiary(Diary):
    """A diary that is a state of its own, so that one instance sees everything."""

    stateful = True


class Talker(IterativePE):
    """Sends ``"pre"``, each item, and ``"post"``."""

    def _preprocess(self) -> None:
        self.write("output", "pre")

    def _process(self, data: Any) -> Any:
        return data

    def _postprocess(self) -> None:
        self.write("output", "post")


class TalkingNumbers(Numbers):
    """A root that sends ``"pre"``, numbers, and ``"post"``."""

    def _preprocess(self) -> None:
        self.write("output", "pre")

    def _postprocess(self) -> None:
        self.write("output", "post")


class Total(IterativePE):
    """Sends the sum of all that it got when it ends, and nothing before."""

    stateful = True

    def __init__(self) -> None:
        super().__init__()
        self.total = 0

    def _process(self, data: int) -> None:
        self.total += data

    def _postprocess(self) -> None:
        self.write("output", self.total)
