"""A PE that may keep something of the items that it sends on, and changes that at the end."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from dispel4py import IterativePE

#: Without a global interpreter lock, references are not counted at one moment: all are copied.
needs_counts = pytest.mark.skipif(
    not getattr(sys, "_is_gil_enabled", lambda: True)(), reason="this Python has no GIL"
)


class Keeping(IterativePE):
    """Does something with each item; `kept` holds on to what the action says.

    Args:
        action: returns what is sent, given the PE and the item.
    """

    def __init__(self, action: Any) -> None:
        super().__init__()
        self.action = action
        self.kept: list[Any] = []

    def _process(self, data: Any) -> Any:
        return self.action(self, data)

    def _postprocess(self) -> None:
        for kept in self.kept:
            self.change(kept)

    def change(self, kept: Any) -> None:
        """Change something that was kept."""
        raise NotImplementedError


class InDicts(Keeping):
    """Has a `process` of its own, which returns a dict, as PEs for dispel4py do."""

    def process(self, inputs: dict[str, Any]) -> dict[str, Any] | None:
        data = self._process(inputs["input"])
        return None if data is None else {"output": data}


def same(pe: Keeping, data: Any) -> Any:
    """Return the item."""
    return data


def keep_and_return(pe: Keeping, data: Any) -> Any:
    """Return the item, which is kept."""
    pe.kept.append(data)
    return data
