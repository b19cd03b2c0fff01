"""Ids of items that are the same however often an item is processed, wherever, and in whatever run.

An id follows from where an item comes from, and from nothing else: from the call of a PE that wrote
it, the output, and which of the call's items on that output it is.  A call has the id of the item
that it processes; a root's call has one by its number.  So neither workers nor batches have a say
in it.

    >>> first = call_id("Count0.0", 0)
    >>> child_id(first, "output", 1) == child_id(call_id("Count0.0", 0), "output", 1)
    True

Items travel with their ids, as `Item`, only to where a PE asks for them (`GenericPE.item_ids`, told
by `Route.with_ids`).
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
    """An instance that moves to another process, with what its ids and random numbers follow from.

    Attributes:
        pe: the PE.
        calls: for a root, how often it was called.
        origin: see `call_id`.
        random: the state of its random numbers; None if it was not found to draw any.
    """

    pe: GenericPE
    calls: int
    origin: str
    random: StreamState | None = None


class IdentifiedOutput(list[Any]):
    """What is written to one output: each item gets its id as it comes.

    Threads of a PE may write at the same time, so a number is taken in one step.

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
            call: its id.
            number: how many items of it went out before it was repeated.
        """
        self._call = call, count(number)

    def append(self, data: Any) -> None:
        call, numbers = self._call
        super().append(Item(child_id(call, self.output, next(numbers)), data))


def call_id(origin: str, what: int | str) -> str:
    """The id of a call that no item is the reason of.

    Args:
        origin: names the instance, in all processes alike.
        what: number of a root's call, or ``"preprocess"`` or ``"postprocess"``.
    """
    return _digest(f"call {what} of {origin}")


def child_id(parent: str, output: str, number: int) -> str:
    """The id of an item.

    Args:
        parent: id of the call that wrote it.
        output: to which output.
        number: how many items that call had written to it before.
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
