"""The PEs of rule C3 that fail in other ways than by a plain ValueError.

They live in a module of their own because worker processes have to be able to import them.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Sequence
from typing import Any

from dispel4py import GenericPE, IterativePE


class DetectorError(Exception):
    """Is made of other things than its message, as many exceptions of libraries are.

    Args:
        channel: number of the channel.
        voltage: what was measured there.
    """

    def __init__(self, channel: int, *, voltage: float) -> None:
        super().__init__(f"channel {channel} is at {voltage} V")
        self.channel, self.voltage = channel, voltage


class Cancels(IterativePE):
    """Sends what it gets, but is cancelled at 3: by what is no `Exception`."""

    def _process(self, data: int) -> int:
        if data == 3:
            self.stop()
        return data

    def stop(self) -> None:
        """Raise."""
        raise asyncio.CancelledError("the request was cancelled")


class Measures(IterativePE):
    """Sends what it gets, but fails at 3, for a reason of its own and with a note."""

    def __init__(self) -> None:
        super().__init__()
        self.calibration: dict[str, int] = {}

    def _process(self, data: int) -> int:
        if data == 3:
            try:
                return self.calibration["voltage"]
            except KeyError as missing:
                error = DetectorError(7, voltage=2.5)
                error.add_note("measured at night")
                raise error from missing
        return data


class Matches(IterativePE):
    """Sends what it gets, but at 3 a match, which Python can copy and cannot pickle."""

    def _process(self, data: int) -> Any:
        return re.match(r"\d", str(data)) if data == 3 else data


class StubbornError(Exception):
    """An exception that pickle cannot make again: its `args` are not what its class asks for."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"{reason} (code {code})")


class Fails(IterativePE):
    """Sends what it gets, but raises at some numbers.

    Args:
        at: the numbers.
        stubborn: raise a `StubbornError` rather than a ValueError.
    """

    def __init__(self, at: Sequence[int], stubborn: bool = False) -> None:
        super().__init__()
        self.at = at
        self.stubborn = stubborn

    def _process(self, data: Any) -> Any:
        if data in self.at:
            self.explode()
        return data

    def explode(self) -> None:
        """Raise."""
        if self.stubborn:
            raise StubbornError(42, "the sensor is broken")
        raise ValueError("the sensor is broken")


class FailsOutside(Fails):
    """Sends what it gets, but raises in ``"preprocess"`` or ``"postprocess"``."""

    def __init__(self, phase: str) -> None:
        super().__init__(at=[])
        self.phase = phase

    def _preprocess(self) -> None:
        if self.phase == "preprocess":
            self.explode()

    def _postprocess(self) -> None:
        if self.phase == "postprocess":
            self.explode()


class FailsWithTime(IterativePE):
    """Raises at the first item, with the time, in seconds, in the message."""

    def _process(self, data: Any) -> None:
        raise ValueError(f"broken at {time.time()}")


class WrongOutput(GenericPE):
    """Sends to an output that it has not, by returning or by writing."""

    def __init__(self, by_writing: bool) -> None:
        super().__init__()
        self._add_input("input")
        self._add_output("left")
        self._add_output("right")
        self.by_writing = by_writing

    def process(self, inputs: dict[str, Any]) -> dict[str, Any] | None:
        if not self.by_writing:
            return {"middle": inputs["input"]}
        self.write("middle", inputs["input"])
        return None
