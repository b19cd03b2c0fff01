"""`ReorderBuffer`: restores the order of items at the ordered inputs of an instance.

Early items are held until all earlier ones have arrived; see `dispel4py.engine.items.places`.

    >>> from dispel4py.engine.items.places import Placed
    >>> buffer = ReorderBuffer({7: (0, True)})
    >>> list(buffer.take("input", Placed((0, 1, 7), "second")))
    []
    >>> [item.data for _, item in buffer.take("input", Placed((0, 0, 7), "first"))]
    ['first', 'second']
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from dispel4py.core import GenericPE
from dispel4py.engine.items.item_ids import InstanceSnapshot
from dispel4py.engine.items.places import LATE, OtherInstance, Place, Placed
from dispel4py.engine.items.sizes import size_of
from dispel4py.engine.limits import EngineLimits
from dispel4py.errors import RunError


class ReorderBuffer:
    """Holds early items of one instance until the places before theirs are filled.

    Args:
        paths: number of a path (see `Route`) → its index among the paths that lead here from the
            same PE, and whether it is the last of them.
        limits: how many early items may wait before roots are paused.
    """

    def __init__(
        self, paths: Mapping[int, tuple[int, bool]], limits: EngineLimits = EngineLimits()
    ) -> None:
        self._paths = dict(paths)
        self._max_items, self._max_bytes = limits.early_items, limits.early_bytes
        self._next: dict[int, Place] = {}
        self._held: dict[int, dict[Place, tuple[Place, str, Any, int]]] = {}
        self._late: list[tuple[Place, str, Any]] = []
        self._early = self._early_bytes = 0

    @property
    def roots_to_pause(self) -> tuple[int, ...]:
        """The roots of the early items, while there are too many."""
        if self._early < self._max_items and self._early_bytes < self._max_bytes:
            return ()
        return tuple(root for root, held in self._held.items() if held)

    def take(self, input_name: str, item: Any) -> Iterator[tuple[str, Any]]:
        """Add an item or punctuation that has arrived at an input.

        Yields:
            (input, item or `EmptyPlace`) of all that are next now.

        Raises:
            RunError: the place has arrived before.
        """
        root = item.place[0]
        if root == LATE:
            self._late.append((item.place, input_name, item))
            return
        place, after = self._read(item.place)
        following = self._next.get(root, ())
        held = self._held.setdefault(root, {})
        if place != following:
            if place < following or place in held:
                raise RunError(f"an item of an ordered input has come twice (place {item.place})")
            size = size_of(item.data) if type(item) is Placed else 0
            held[place] = after, input_name, item, size
            self._early += 1
            self._early_bytes += size
            return
        while True:
            self._next[root] = after
            if type(item) is not OtherInstance:
                yield input_name, item
            if after not in held:
                return
            after, input_name, item, size = held.pop(after)
            self._early -= 1
            self._early_bytes -= size

    def finish(self) -> Iterator[tuple[str, Any]]:
        """Yield the late items, as `take` does; nothing more will arrive.

        Raises:
            RunError: an item is missing.
        """
        for held in self._held.values():
            if held:
                place = held[min(held)][2].place
                raise RunError(
                    "an item of an ordered input has not come, though one that follows it has"
                    f" (place {place}): the mapping has lost it"
                )
        late, self._late = sorted(self._late, key=lambda entry: entry[0]), []
        for _, input_name, item in late:
            yield input_name, item

    def _read(self, place: Place) -> tuple[Place, Place]:
        """Return a place and the next one, in the form compared here: without last zeros."""
        numbers = [place[1]]
        open_at = 0  # the deepest number that is not the last one of its kind
        is_path = True
        for part in place[2:]:
            if is_path:
                number, is_last = self._paths[part]
            else:
                number, is_last = (~part, True) if part < 0 else (part, False)
            is_path = not is_path
            if not is_last:
                open_at = len(numbers)
            numbers.append(number)
        after = numbers[: open_at + 1]
        after[-1] += 1
        while numbers and not numbers[-1]:
            numbers.pop()
        return tuple(numbers), tuple(after)


class OrderedSnapshot(NamedTuple):
    """An instance that moves to another process, with the state of its order.

    Attributes:
        pe: the PE, or a snapshot of it.
        number: see `Call`.
        source: number of the instance, or of the process of a replica.
        buffer: its reorder buffer, if it has an ordered input.
    """

    pe: GenericPE | InstanceSnapshot
    number: int
    source: int
    buffer: ReorderBuffer | None
