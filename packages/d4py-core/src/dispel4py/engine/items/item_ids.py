"""Ids of items: the same in each repetition of a call, in any process and in any run.

An id depends only on the origin of an item: on the call of the PE that wrote it, on the output, and
on its number among the call's items for that output.  A call has the id of the item that it
processes; a call of a root has an id by its number.  So ids depend neither on workers nor on
batches.

    >>> first = call_id("Count0.0", 0)
    >>> child_id(first, "output", 1) == child_id(call_id("Count0.0", 0), "output", 1)
    True

Items have their ids with them, as `Item`, only on edges that lead to a PE that needs them
(`GenericPE.item_ids`, `Route.with_ids`).
"""

from __future__ import annotations

from hashlib import blake2b
from itertools import count
from typing import Any, NamedTuple

from dispel4py.core import GenericPE
from dispel4py.engine.random_streams import StreamState


class Item(NamedTuple):
    """An item with its id."""

    id: str
    data: Any


class InstanceSnapshot(NamedTuple):
    """An instance that moves to another process, with the state of its ids and random numbers.

    Attributes:
        pe: the PE.
        calls: number of calls so far, of a root.
        origin: see `call_id`.
        random: the state of its random numbers; None if it was not found to draw any.
    """

    pe: GenericPE
    calls: int
    origin: str
    random: StreamState | None = None


class IdentifiedOutput(list[Any]):
    """The items that were written to one output; each gets its id when it is appended.

    Threads of a PE may append at the same time, so numbers are drawn atomically.

    Args:
        output: name of the output.
    """

    def __init__(self, output: str) -> None:
        super().__init__()
        self.output = output
        self.begin("")

    def begin(self, call: str, number: int = 0) -> None:
        """Begin a call.

        Args:
            call: id of the call.
            number: number of items that the call had sent before it was repeated.
        """
        self._call = call, count(number)

    def append(self, data: Any) -> None:
        call, numbers = self._call
        super().append(Item(child_id(call, self.output, next(numbers)), data))


def call_id(origin: str, what: int | str) -> str:
    """Return the id of a call that processes no item.

    Args:
        origin: name of the instance, the same in all processes.
        what: number of a root's call, or ``"preprocess"`` or ``"postprocess"``.
    """
    return _digest(f"call {what} of {origin}")


def child_id(parent: str, output: str, number: int) -> str:
    """Return the id of an item.

    Args:
        parent: id of the call that wrote the item.
        output: name of the output.
        number: number of items that the call had written to the output before.
    """
    return _digest(f"{parent}/{output}/{number}")


def branch_id(item_id: str, branch: int) -> str:
    """Return the id of an item on one of several branches: each receiver gets another id."""
    return _digest(f"{item_id}>{branch}")


def without_ids(items: list[Item]) -> list[Any]:
    """Return the items without their ids."""
    return [item.data for item in items]


def _digest(text: str) -> str:
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
