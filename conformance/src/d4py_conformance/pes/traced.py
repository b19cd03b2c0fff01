"""PEs that leave a file when they are called."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from d4py_conformance.pes.common import Numbers, Relay


class TracedNumbers(Numbers):
    """Sends (1,), (2,), (3,), …, and leaves a file when it is called."""

    def __init__(self, trace: Path) -> None:
        super().__init__()
        self.trace = trace

    def _process(self, inputs: Any) -> Any:
        self.trace.touch()
        return (super()._process(inputs),)


class Traced(Relay):
    """Sends what it gets, and leaves a file when it is called."""

    def __init__(
        self,
        trace: Path,
        grouping: str | Sequence[Any] | None = None,
        numprocesses: int = 1,
        keep: Any = None,
    ) -> None:
        super().__init__(numprocesses=numprocesses)
        self.inputconnections["input"]["grouping"] = grouping
        self.trace = trace
        self.keep = keep

    def _process(self, data: Any) -> Any:
        self.trace.touch()
        return data


class TracedTalker(Traced):
    """The same with a life cycle: sends ``"pre"`` before and ``"post"`` behind."""

    def _preprocess(self) -> None:
        self.trace.touch()
        self.write("output", "pre")

    def _postprocess(self) -> None:
        self.write("output", "post")
