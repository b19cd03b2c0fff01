"""`WaitingItems`: items that wait for others, to become one batch of a PE.

Only PEs with `batch_seconds` have items that wait.  They may be processed at any time, like items
that have not arrived yet; so a mapping processes them where it would process those.
"""

from __future__ import annotations

from collections.abc import Callable, Container
from math import inf
from typing import Any

from dispel4py.engine.calls.instance_group import InstanceGroup
from dispel4py.engine.execution.outlets import Receiver, Work
from dispel4py.engine.items.assigned_items import AssignedItems
from dispel4py.engine.planning.batch_growth import BatchBounds


class ReadyBatch(list[Any]):
    """A batch whose items do not wait any longer."""


class ReadyItems(AssignedItems):
    """The same for a group."""

    __slots__ = ()


#: Types of batches that are processed as they are.
READY = frozenset({ReadyBatch, ReadyItems})


class _Waiting:
    """Items that wait at one input.

    Args:
        input_name: the input.
        items: the items; those of a group are pairs of an instance and its items.
        count: how many items.
        due_at: time at which the first one has waited long enough.
    """

    __slots__ = ("count", "due_at", "input_name", "items")

    def __init__(self, input_name: str | None, items: list[Any], count: int, due_at: float) -> None:
        self.input_name = input_name
        self.items = items
        self.count = count
        self.due_at = due_at


class WaitingItems:
    """The waiting items of all instances in a process.

    Args:
        clock: returns the time in seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._waiting: dict[Receiver, _Waiting] = {}
        self._looked_at = -inf

    def add(self, receiver: Receiver, input_name: str | None, items: Any) -> list[Work]:
        """Add items for a PE that lets them wait.

        Returns:
            What need not wait any longer, in its order: full batches.
        """
        bounds = receiver.planned.batch
        assert bounds is not None
        ready: list[Work] = []
        waiting = self._waiting.get(receiver)
        if waiting is not None and waiting.input_name != input_name:
            ready += self._take(receiver)  # those of another input came first
            waiting = None
        if waiting is None:
            waiting = _Waiting(input_name, [], 0, self._clock() + bounds.seconds)
            self._waiting[receiver] = waiting
        is_group = isinstance(receiver, InstanceGroup)
        waiting.items += items.runs() if is_group else items
        waiting.count += len(items)
        if is_group and waiting.count >= bounds.size:
            ready += self._take(receiver)
        elif waiting.count >= bounds.size:
            ready += self._take_full(receiver, waiting, bounds)
        return ready

    def take(self, pe: int) -> list[Work]:
        """Remove what waits for the instances of a PE, and return it."""
        receivers = [each for each in self._waiting if each.planned.index == pe]
        return [work for receiver in receivers for work in self._take(receiver)]

    def due_pes(self, at_once: Container[int] = ()) -> set[int]:
        """Return the numbers of the PEs for which items have waited long enough.

        Args:
            at_once: PEs for which they need not wait at all now.
        """
        if not self._waiting:
            return set()
        self._looked_at = now = self._clock()
        return {
            receiver.planned.index
            for receiver, waiting in self._waiting.items()
            if waiting.due_at <= now or receiver.planned.index in at_once
        }

    @property
    def seconds_to_due(self) -> float:
        """Time until `due_pes` has more to return; infinite if nothing waits for that."""
        if not self._waiting:
            return inf
        looked_at = self._looked_at
        due = (waiting.due_at for waiting in self._waiting.values() if waiting.due_at > looked_at)
        return max(0.0, min(due, default=inf) - self._clock())

    def clear(self) -> None:
        """Drop all items, as the run has failed."""
        self._waiting.clear()

    def _take(self, receiver: Receiver) -> list[Work]:
        waiting = self._waiting.pop(receiver, None)
        if waiting is None:
            return []
        is_group = isinstance(receiver, InstanceGroup)
        items = ReadyItems.of_parts(waiting.items) if is_group else ReadyBatch(waiting.items)
        return [(receiver, waiting.input_name, items)]

    def _take_full(self, receiver: Receiver, waiting: _Waiting, bounds: BatchBounds) -> list[Work]:
        """Remove full batches, and return them; the rest goes on waiting."""
        items, size = waiting.items, bounds.size
        whole = len(items) - len(items) % size
        waiting.items, waiting.count = items[whole:], len(items) - whole
        waiting.due_at = self._clock() + bounds.seconds
        if not waiting.items:
            del self._waiting[receiver]
        return [
            (receiver, waiting.input_name, ReadyBatch(items[first : first + size]))
            for first in range(0, whole, size)
        ]
