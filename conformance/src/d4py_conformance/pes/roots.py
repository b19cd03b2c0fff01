"""Roots whose calls do not depend on one another: rule D3."""

from __future__ import annotations

import os
from pathlib import Path
from threading import get_ident
from typing import Any

from d4py_conformance.pes.crashing import crash_once
from d4py_conformance.waiting import wait_until
from dispel4py import ProducerPE


class Fetch(ProducerPE):
    """A root whose calls do not depend on one another: sends the `number` that one came with.

    A call that came with none sends ``"called"``.
    """

    independent_calls = True

    def _process(self, inputs: Any) -> Any:
        return inputs.pop("number", "called")


class NamedFetch(Fetch):
    """Sends ``(id of the call, number)``."""

    item_ids = True

    def _process(self, inputs: Any) -> Any:
        return self.item_id, super()._process(inputs)


class TalkingFetch(Fetch):
    """Sends ``"pre"`` before all and ``("post", how often it was called)`` behind."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def _preprocess(self) -> None:
        self.write("output", "pre")

    def _process(self, inputs: Any) -> Any:
        self.calls += 1
        return super()._process(inputs)

    def _postprocess(self) -> None:
        self.write("output", ("post", self.calls))


class FailingFetch(Fetch):
    """Raises at a number."""

    def __init__(self, at: int) -> None:
        super().__init__()
        self.at = at

    def _process(self, inputs: Any) -> Any:
        if inputs["number"] == self.at:
            raise ValueError("the server is broken")
        return super()._process(inputs)


class CrashingFetch(Fetch):
    """Its worker is killed at a number."""

    def __init__(self, marker: Path, at: int) -> None:
        super().__init__()
        self.marker = marker
        self.at = at

    def _process(self, inputs: Any) -> Any:
        if inputs["number"] == self.at:
            crash_once(self.marker)
        return super()._process(inputs)


class MeetingFetch(Fetch):
    """Each call waits until calls of so many instances were begun.

    Args:
        folder: where each instance leaves a file.
        instances: how many.
    """

    def __init__(self, folder: Path, instances: int) -> None:
        super().__init__()
        self.numprocesses = instances
        self.folder = folder

    def _process(self, inputs: Any) -> Any:
        (self.folder / f"{os.getpid()}-{get_ident()}").touch()
        wait_until(
            lambda: len(os.listdir(self.folder)) >= self.numprocesses, "calls of other instances"
        )
        return super()._process(inputs)


class OverwritingFetch(MeetingFetch):
    """Has the same file open for writing in each of its instances.

    Args:
        folder: see `MeetingFetch`.
        path: the file.
    """

    def __init__(self, folder: Path, path: Path) -> None:
        super().__init__(folder, 2)
        self.path = path

    def _preprocess(self) -> None:
        self.file = self.path.open("w")

    def _postprocess(self) -> None:
        self.file.close()
