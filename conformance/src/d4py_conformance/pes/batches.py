"""PEs that get several items in one call: rule M7."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from d4py_conformance.pes.crashing import crash_once
from dispel4py import GenericPE, IterativePE


class Doubles(IterativePE):
    """Sends twice each number that is no multiple of three."""

    def _process_batch(self, items: list[int]) -> list[int | None]:
        return [2 * item if item % 3 else None for item in items]


class Sizes(IterativePE):
    """Sends for each item how many came in the same call."""

    batch_size = 3

    def _process_batch(self, items: list[Any]) -> list[int]:
        return [len(items)] * len(items)


class Splits(GenericPE):
    """Sends even numbers to ``even`` and others to ``odd``."""

    def __init__(self) -> None:
        super().__init__()
        self._add_input("input")
        self._add_output("even")
        self._add_output("odd")

    def _process_batch(self, items: list[dict[str, int]]) -> list[dict[str, int]]:
        numbers = [item["input"] for item in items]
        return [{"odd" if number % 2 else "even": number} for number in numbers]


class Writes(IterativePE):
    """Writes each item during the call."""

    def _process_batch(self, items: list[Any]) -> None:
        for item in items:
            self.write("output", item)


class Patient(Doubles):
    """As `Doubles`; items wait for others for longer than any test takes."""

    batch_size = 7
    batch_seconds = 3600.0


class CountsKeys(IterativePE):
    """Sends for each ``(key, number)`` which one it is of its key."""

    def __init__(self) -> None:
        super().__init__()
        self._add_input("input", grouping=[0])
        self.numprocesses = 3
        self.counts: Counter[Any] = Counter()

    def _process_batch(self, items: list[tuple[int, int]]) -> list[tuple[int, int, int]]:
        found = []
        for key, number in items:
            self.counts[key] += 1
            found.append((key, number, self.counts[key]))
        return found


class Keyed(IterativePE):
    """Sends numbers with one of five keys."""

    def _process_batch(self, items: list[int]) -> list[tuple[int, int]]:
        return [(number % 5, number) for number in items]


class BatchNamed(IterativePE):
    """Sends ``(id, item)``."""

    item_ids = True

    def _process_batch(self, items: list[Any]) -> list[tuple[str, Any]]:
        return list(zip(self.batch_item_ids, items, strict=True))


class Named(IterativePE):
    """Sends ``(id, item)``."""

    item_ids = True

    def _process(self, data: Any) -> tuple[str, Any]:
        return self.item_id, data


class FailsAt(IterativePE):
    """Sends what it gets; a call with a multiple of 10 fails."""

    def _process_batch(self, items: list[int]) -> list[int]:
        for item in items:
            if item % 10 == 0:
                raise ValueError(f"bad {item}")
        return items


class WritesAndFails(FailsAt):
    """Writes items before it finds that one is bad."""

    def _process_batch(self, items: list[int]) -> list[int]:
        for item in items:
            if item % 10:
                self.write("output", -item)
        return super()._process_batch(items)


class Wraps(IterativePE):
    """Sends lists with one number."""

    def _process(self, data: int) -> list[int]:
        return [data]


class ChangesAndFails(IterativePE):
    """Changes items before it finds that one is bad."""

    def _process_batch(self, items: list[list[int]]) -> list[list[int]]:
        for item in items:
            item[0] += 1000
        for item in items:
            if item[0] % 10 == 0:
                raise ValueError(f"bad {item}")
        return items


class Shortens(IterativePE):
    """Returns too few results."""

    def _process_batch(self, items: list[int]) -> list[int]:
        return items[1:]


class CrashesInBatch(IterativePE):
    """Sends what it gets; its worker is killed once, in the call with one item."""

    def __init__(self, marker: Path, at: int) -> None:
        super().__init__()
        self.marker = marker
        self.at = at

    def _process_batch(self, items: list[int]) -> list[int]:
        if self.at in items:
            crash_once(self.marker)
        return items


class TotalsInBatches(CrashesInBatch):
    """Sends the running total, which is its state."""

    stateful = True

    def __init__(self, marker: Path, at: int) -> None:
        super().__init__(marker, at)
        self.total = 0

    def _process_batch(self, items: list[int]) -> list[int]:
        totals = []
        for item in super()._process_batch(items):
            self.total += item
            totals.append(self.total)
        return totals
