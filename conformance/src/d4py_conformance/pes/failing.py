"""The PEs of rule C3 that fail in other ways than by a plain ValueError.

They live in a module of their own because worker processes have to be able to import them.
"""

from __future__ import annotations

import asyncio
import re
from typing import Any

from dispel4py import IterativePE


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
