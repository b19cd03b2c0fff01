"""PEs that show whether a fast producer waits: a tally of what was sent, and a gate."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from dispel4py import IterativePE, ProducerPE

#: How many items a `Tally` adds to its file at a time.
TALLY_STEP = 500


class Tally(ProducerPE):
    """Sends items, several per call; its file grows by a byte with every `step` of them.

    Args:
        file: the file.
        per_call: items per call.
        size: of each item, in bytes; 0 sends 1, 2, 3, … instead.
        step: how often to count.
    """

    def __init__(self, file: Path, per_call: int, size: int = 0, step: int = TALLY_STEP) -> None:
        super().__init__()
        self.file = file
        self.per_call = per_call
        self.size = size
        self.step = step
        self.sent = 0

    def _process(self, inputs: Any) -> None:
        for _ in range(self.per_call):
            self.sent += 1
            if self.sent % self.step == 0:
                with self.file.open("ab") as file:
                    file.write(b".")
            self.write("output", bytes(self.size) if self.size else self.sent)


class LooksSmall:
    """An item whose size shows only when it is pickled: what it holds is far down, and it lies.

    Args:
        size: of what it holds, in bytes.
    """

    __slots__ = ("_held",)
    nbytes = 8

    def __init__(self, size: int) -> None:
        self._held = [{"a": [{"b": [bytearray(size)]}]}]

    def __sizeof__(self) -> int:
        return 64


class LargeLater(ProducerPE):
    """Returns small items for a while, then large ones, of which it keeps a tally.

    Args:
        file: grows by a byte with each large item.
        small: how many small items, 1, 2, 3, …, come first.
        size: of the others, in bytes.
    """

    def __init__(self, file: Path, small: int, size: int) -> None:
        super().__init__()
        self.file, self.small, self.size = file, small, size
        self.sent = 0

    def _process(self, inputs: Any) -> int | LooksSmall:
        self.sent += 1
        if self.sent <= self.small:
            return self.sent
        with self.file.open("ab") as file:
            file.write(b".")
        return LooksSmall(self.size)


class EnoughError(Exception):
    """The run has shown what it was to show."""


class Gate(IterativePE):
    """Lets nothing pass: waits until the sender of a tally pauses or is done, and ends the run.

    Writes to a file of its own how many items had been sent by then.

    Args:
        tally: the tally.
        count: how many items will have been sent at the end.
        verdict: that file.
        step: see `Tally`.
        lets: type of items that it lets pass.
    """

    def __init__(
        self,
        tally: Path,
        count: int,
        verdict: Path,
        step: int = TALLY_STEP,
        lets: type | None = None,
    ) -> None:
        super().__init__()
        self.lets = lets
        self.tally = tally
        self.step = step
        self.count = count
        self.verdict = verdict

    def _process(self, data: Any) -> None:
        if self.lets is not None and isinstance(data, self.lets):
            return
        sent, changed_at = 0, time.monotonic()
        while sent < self.count and time.monotonic() - changed_at < STILL_SECONDS:
            time.sleep(0.01)
            before, sent = sent, self.tally_now()
            if sent != before:
                changed_at = time.monotonic()
        # Other replicas may write it too, and may be stopped meanwhile.
        own = self.verdict.with_name(f"{self.verdict.name}-{os.getpid()}")
        own.write_text(str(sent))
        own.replace(self.verdict)
        raise EnoughError

    def tally_now(self) -> int:
        """Return how many items were sent."""
        return self.tally.stat().st_size * self.step if self.tally.exists() else 0


#: A sender that has not sent for so long is waiting.
STILL_SECONDS = 0.5
