"""Items that are pickled when they are written, since all receivers are in other processes.

An item that is copied through pickle is pickled a second time to be sent.  Where no instance of
this process receives what a PE writes, the first pickle is sent, and the item is unpickled only by
its receiver.  The large buffers of an item are copied once: to where they are sent from.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Sequence
from typing import Any

from dispel4py.engine.copying import KEPT_BYTES, CountingCopier, copy_item
from dispel4py.engine.grouping import ALL, GROUP_BY
from dispel4py.engine.plan import Plan, PlannedPE
from dispel4py.engine.sizes import ByteCounter

#: A copy of a large buffer, as it will be sent: a bytearray, or another object with its own buffer.
#: No memoryview: Python 3.11 has crashed when it collected garbage with one.
Kept = Any
#: Copies a large buffer.
Keep = Callable[[memoryview], Kept]


def copy_buffer(view: memoryview) -> Kept:
    """Return a copy of a buffer, in memory of this process."""
    return bytearray(view)


class PickledItem:
    """The pickle of an item; its own pickle is unpickled as the item.

    Args:
        data: the pickle.
        buffers: its large buffers.
    """

    __slots__ = ("buffers", "data")

    def __init__(self, data: bytes, buffers: Sequence[Kept]) -> None:
        self.data = data
        self.buffers = buffers

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        if not self.buffers:
            return pickle.loads, (self.data,)
        return _loads, (self.data, [*map(pickle.PickleBuffer, self.buffers)])


def _loads(data: bytes, buffers: Sequence[Kept]) -> Any:
    return pickle.loads(data, buffers=buffers)


def pickling_copier(keep: Keep) -> CountingCopier:
    """Return a copier of items that all leave the process; large ones become a `PickledItem`.

    Args:
        keep: copies a large buffer.
    """

    def pack(data: bytes, views: list[memoryview]) -> PickledItem:
        return PickledItem(
            data, [keep(view) if view.nbytes >= KEPT_BYTES else bytearray(view) for view in views]
        )

    def copy(item: Any, counter: ByteCounter) -> Any:
        return copy_item(item, counter, pack)

    return copy


def all_leave(plan: Plan, planned: PlannedPE, is_local: Callable[[int, int], bool]) -> bool:
    """Return whether all that a PE writes leaves this process, each item to one receiver.

    And nothing on the way there looks into the items, as for a key, or gives them an id or a place.
    """
    if planned.with_ids or planned.has_places:
        return False
    for routes in planned.routes.values():
        if len(routes) > 1:
            return False
        for route in routes:
            if route.with_ids or route.path >= 0 or route.grouping.kind in (ALL, GROUP_BY):
                return False
            instances = range(plan.pes[route.destination].instances)
            if any(is_local(route.destination, instance) for instance in instances):
                return False
    return True
