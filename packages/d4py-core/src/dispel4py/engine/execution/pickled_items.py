"""Large items that are pickled when they are written, since all receivers are in other processes.

An item that is copied through pickle is pickled a second time to be sent, and its buffers copied a
second time.  Where no instance of this process receives what a PE writes, the first pickle of an
item with large buffers is sent, which are copied once: to where they are sent from.  So it is only
the receiver that finds an item which cannot be unpickled.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Sequence
from typing import Any

from dispel4py.engine.items.copying import KEPT_BYTES, CountingCopier, cannot_load, copy_item
from dispel4py.engine.items.sizes import ByteCounter
from dispel4py.engine.planning.grouping import ALL, GROUP_BY
from dispel4py.engine.planning.plan import Plan, PlannedPE
from dispel4py.errors import ItemError
from dispel4py.exceptions.unwinding import reraise_foreign

#: A copy of a large buffer, as it will be sent: a bytearray, or another object with its own buffer.
#: No memoryview: Python 3.11 has crashed when it collected garbage with one.
Kept = Any
#: Copies a large buffer.
Keep = Callable[[memoryview], Kept]


def copy_buffer(view: memoryview) -> Kept:
    """Return a copy of a buffer, in memory of this process."""
    return bytearray(view)


class PickledItem:
    """The pickle of an item; its own pickle is unpickled as the item, or as an `UnreadItem`.

    Args:
        data: the pickle.
        buffers: its buffers.
        writer: see `UnreadItem`.
    """

    __slots__ = ("buffers", "data", "writer")

    def __init__(self, data: bytes, buffers: Sequence[Kept], writer: tuple[int, int]) -> None:
        self.data = data
        self.buffers = buffers
        self.writer = writer

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return _loads, (self.data, [*map(pickle.PickleBuffer, self.buffers)], self.writer)


class UnreadItem:
    """Stands for an item that its receiver cannot unpickle.

    Args:
        error: says why.
        writer: number of the PE that has written it, and of the instance.

    Attributes:
        were_made: this process has made any, so that what it receives has to be searched for them.
    """

    were_made = False

    def __init__(self, error: ItemError, writer: tuple[int, int]) -> None:
        UnreadItem.were_made = True
        self.error = error
        self.writer = writer


def drop_unread(items: list[Any], on_unread: Callable[[UnreadItem], None]) -> list[Any]:
    """Return those items of a batch that were unpickled.

    Args:
        items: the items.
        on_unread: called with what stands for each other item; raises its error, or returns to
            skip.
    """
    read = []
    for item in items:
        if type(item) is UnreadItem:
            on_unread(item)
        else:
            read.append(item)
    return read


def _loads(data: bytes, buffers: Sequence[Kept], writer: tuple[int, int]) -> Any:
    try:
        return pickle.loads(data, buffers=buffers)
    except BaseException as error:  # a user's __setstate__ may raise anything
        reraise_foreign(error)
        return UnreadItem(cannot_load(error), writer)


def pickling_copier(keep: Keep, writer: tuple[int, int]) -> CountingCopier:
    """Return a copier of items that all leave the process; large ones become a `PickledItem`.

    Args:
        keep: copies a large buffer.
        writer: see `UnreadItem`.
    """

    def pack(data: bytes, views: list[memoryview]) -> PickledItem:
        buffers = [keep(v) if v.nbytes >= KEPT_BYTES else bytearray(v) for v in views]
        return PickledItem(data, buffers, writer)

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
