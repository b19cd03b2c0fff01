"""Places of items in the order in which a root made them: sequence numbers of several levels.

A root numbers the items that it writes.  An item that a PE writes in a call gets the place of the
item of the call, followed by the path by which that item came and by its own number in the call.
So places compare as items follow each other if all are processed one by one, depth first.

The number of the last item of a call is marked, and a call that writes nothing sends an
`EmptyPlace`, which is punctuation.  So the next place follows from a place
(`reorder_buffer`), and the number of items need not be known.  A root has no last item: its
next item, be it in another call, has the next number.

Items have places only on edges that lead to an ordered input (`Route.path`).
"""

from __future__ import annotations

from threading import Lock
from typing import Any, NamedTuple

#: A place: the number of the root, or `LATE`; the number of the root's item; then, by turns, the
#: path of an item (see `engine.planning.plan.Route`) and its number in the call that wrote it, as
#: ``~number`` if it is the last one.
Place = tuple[int, ...]
#: The first number in the places of items that `preprocess` or `postprocess` of a PE other than a
#: root has written: these come last.
LATE = -1


class Placed(NamedTuple):
    """An item with its place."""

    place: Place
    data: Any


class EmptyPlace(NamedTuple):
    """Punctuation: there is no item at this place, nor any that follows from it."""

    place: Place


class OtherInstance(NamedTuple):
    """Punctuation: the item at this place goes to another instance of the receiving PE."""

    place: Place


class Call:
    """Gives the items that a PE writes in a call their places, also to those of threads of the PE.

    Args:
        root: number of the PE if it is a root: all its calls form one sequence.

    Attributes:
        number: how many items the call has written; for a root, how many all calls have.
        outputs: the outputs whose items have places.
    """

    def __init__(self, root: int | None = None) -> None:
        self.number = 0
        self.outputs: list[PlacedOutput] = []
        self._counts_on = root is not None
        self._place: Place = () if root is None else (root,)
        self._is_late = False
        self._held: tuple[PlacedOutput, Any] | None = None
        self._lock = Lock()

    def begin(self, place: Place, number: int = 0) -> None:
        """Begin the call of the item at a place, of which `number` items were sent before."""
        if self._counts_on:
            return
        with self._lock:
            self._place, self.number = place, number
            self._is_late = place[0] == LATE
            if self._is_late and self._held is not None:  # a thread has written it between calls
                held, self._held = self._held, None
                self._put(*held, self.number)

    def write(self, output: PlacedOutput, data: Any) -> None:
        """Add an item; it is held back until it is known whether it is the last one."""
        with self._lock:
            if self._counts_on or self._is_late:
                self._put(output, data, self.number)
                return
            if self._held is not None:
                self._put(*self._held, self.number)
            self._held = output, data

    def end(self) -> None:
        """End the call: the item that is held back is the last one, or there is none."""
        if self._counts_on or self._is_late:
            return
        with self._lock:
            output, data = self._held or (None, None)
            self._held = None
            self._put(output, data, ~self.number)

    def _put(self, output: PlacedOutput | None, data: Any, number: int) -> None:
        # Every place is used on every path, so that a receiver need not know the other paths.
        self.number += 1
        for each in self.outputs:
            if each is output:
                list.append(each, Placed((*self._place, number, *each.path), data))
            elif not self._is_late:
                list.append(each, EmptyPlace((*self._place, number, *each.path)))


class PlacedOutput(list[Any]):
    """The items that were written to one output; each gets its place when it is appended.

    Args:
        call: gives the places.
        path: number of the path, if the items take only one, so that it is part of their places.
    """

    def __init__(self, call: Call, *path: int) -> None:
        super().__init__()
        self.call = call
        self.path = path
        call.outputs.append(self)

    def append(self, data: Any) -> None:
        self.call.write(self, data)


def without_places(items: list[Any]) -> list[Any]:
    """Return the items without their places; punctuation is left out."""
    return [item.data for item in items if type(item) is Placed]


def count_items(items: list[Any]) -> int:
    """Return the number of items with places; punctuation is not counted."""
    return sum(type(item) is Placed for item in items)
