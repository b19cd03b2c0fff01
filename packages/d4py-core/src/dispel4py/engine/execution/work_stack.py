"""`WorkStack`: batches that wait for local instances, the next one last.

A part of it can be set aside while a call lasts: what was there before the call is processed after
it.
"""

from __future__ import annotations

from collections.abc import Callable

from dispel4py.engine.execution.outlets import Work
from dispel4py.engine.inputs import Batch
from dispel4py.engine.items.assigned_items import AssignedItems

#: Items that wait: number of the PE, instance, input, items.
PendingItems = tuple[int, int, str | None, Batch]


class WorkStack(list[Work]):
    """Batches that wait.

    Attributes:
        floor: number of those that are set aside.
    """

    __slots__ = ("floor",)

    def __init__(self) -> None:
        super().__init__()
        self.floor = 0

    @property
    def is_drained(self) -> bool:
        """Whether all batches that wait are set aside."""
        return len(self) <= self.floor

    @property
    def pes(self) -> set[int]:
        """Numbers of the PEs for which batches wait, also those that are set aside."""
        return {receiver.planned.index for receiver, _, _ in self}

    def set_aside(self) -> int:
        """Set aside what waits now; return what `floor` is to be set to when that ends."""
        outer_floor, self.floor = self.floor, len(self)
        return outer_floor

    def take(self, keep: Callable[[int], bool]) -> list[PendingItems]:
        """Remove batches that are not set aside, and return them, the oldest first.

        Args:
            keep: returns whether the batches of a PE stay.
        """
        taken: list[PendingItems] = []
        kept: list[Work] = []
        for work in self[self.floor :]:
            receiver, input_name, items = work
            pe = receiver.planned.index
            if keep(pe) or isinstance(items, AssignedItems):
                kept.append(work)
            else:
                taken.append((pe, receiver.instance, input_name, items))
        self[self.floor :] = kept
        return taken
