"""Places of items in the order in which a root made them: sequence numbers of several levels.

A root numbers what it writes.  What a PE writes in a call has the place of the item that it was
called with, then the way by which that came, then a number of its own: so places compare as the
items would follow each other if all were run one by one, depth first.

The last item of a call says that it is, and a call that writes nothing sends a `Void`, which is
punctuation.  So the place that follows can be read from a place (`ordered.reorder_buffer`), and the
number of items need not be known.
A root has no last item: what it writes next, be it in another call, has the next number.

Items travel with their places only to where an input is declared ordered (`Route.way`).
"""

from __future__ import annotations

from threading import Lock
from typing import Any, NamedTuple

#: A place: the number of the root, or `LATE`; the number of what it wrote; then, by turns, the way
#: of an item (see `engine.plan.Route`) and its number in the call that wrote it, as ``~number``
#: if it is the last one.
Place = tuple[int, ...]
#: The first number in the places of what `preprocess` or `postprocess` wrote, of a PE that is no
#: root: it comes after all else.
LATE = -1


class Placed(NamedTuple):
    """An item with its place."""

    place: Place
    data: Any


class Void(NamedTuple):
    """Punctuation: there is no item at this place, and so nothing that would follow from it."""

    place: Place


class Elsewhere(NamedTuple):
    """Punctuation: what is at this place goes to another instance of the receiving PE."""

    place: Place


class Call:
    """Gives what a PE writes in a call its places; threads of the PE may write at the same time.

    Args:
        root: number of the PE if it is a root: all its calls are one sequence.

    Attributes:
        number: how many items the call has written; for a root, how many all calls have.
        outputs: those whose items travel with places.
    """

    def __init__(self, root: int | None = None) -> None:
        self.number = 0
        self.outputs: list[PlacedOutput] = []
        self._counts_on = root is not None
        self._place: Place = () if root is None else (root,)
        self._is_late = False
        self._kept: tuple[PlacedOutput, Any] | None = None
        self._lock = Lock()

    def begin(self, place: Place, number: int = 0) -> None:
        """Begin a call with the item at a place; `number` items were sent of it before."""
        if self._counts_on:
            return
        with self._lock:
            self._place, self.number = place, number
            self._is_late = place[0] == LATE
            if self._is_late and self._kept is not None:  # a thread has written it between calls
                kept, self._kept = self._kept, None
                self._put(*kept, self.number)

    def write(self, output: PlacedOutput, data: Any) -> None:
        """Take an item; it is kept back until it is known whether it is the last one."""
        with self._lock:
            if self._counts_on or self._is_late:
                self._put(output, data, self.number)
                return
            if self._kept is not None:
                self._put(*self._kept, self.number)
            self._kept = output, data

    def end(self) -> None:
        """End the call: the item that is kept back is the last one, or there is none."""
        if self._counts_on or self._is_late:
            return
        with self._lock:
            output, data = self._kept or (None, None)
            self._kept = None
            self._put(output, data, ~self.number)

    def _put(self, output: PlacedOutput | None, data: Any, number: int) -> None:
        # Each place has something on each way, so that a receiver need not know the ways.
        self.number += 1
        for each in self.outputs:
            if each is output:
                list.append(each, Placed((*self._place, number, *each.way), data))
            elif not self._is_late:
                list.append(each, Void((*self._place, number, *each.way)))


class PlacedOutput(list[Any]):
    """What is written to one output: each item gets its place as it comes.

    Args:
        call: of the PE whose output it is.
        way: number of the way, if its items go no other one, so that it is part of their places.
    """

    def __init__(self, call: Call, *way: int) -> None:
        super().__init__()
        self.call = call
        self.way = way
        call.outputs.append(self)

    def append(self, data: Any) -> None:
        self.call.write(self, data)


def bare(items: list[Any]) -> list[Any]:
    """Return the items without their places; voids are left out."""
    return [item.data for item in items if type(item) is Placed]
