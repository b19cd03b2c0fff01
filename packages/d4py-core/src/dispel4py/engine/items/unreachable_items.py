"""Items that need no copy, since nothing but the runner refers to them any more.

What a PE returns has to be copied if the PE, or the sender of its item, may still change it.  For
NumPy arrays, and for lists, dicts and tuples with such arrays and others inside, this can be ruled
out by counting references: a result that was just computed has only the reference of the caller.
Where references are not counted, it is never ruled out.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from pickle import PickleBuffer
from typing import Any
from weakref import getweakrefcount

from dispel4py.engine.items.arrays import has_fields, is_array
from dispel4py.engine.items.immutable_types import IMMUTABLE_INSIDE, is_numpy_scalar
from dispel4py.engine.items.sizes import ByteCounter

#: Types whose parts are looked at.
CONTAINERS = frozenset({list, dict, tuple})


class PrivateMemory:
    """Base of buffers whose memory can be reached only through them, as that of a `bytearray`.

    Attributes:
        watchers: how many weak references to such a buffer its owner holds.
    """

    __slots__ = ()

    watchers = 0


def copy_if_reachable(
    data: Any,
    item: Any,
    copier: Callable[[Any, ByteCounter], Any],
    counter: ByteCounter,
    in_list: bool = True,
) -> Any:
    """Return what a PE has returned as it is kept: a copy, or, if that needs none, itself.

    Has to be called with two local variables `data` and `item`, where `item` is also in a list: if
    a PE returns the item that it got, the references of the list and of the two variables named
    `item` do not count.

    Args:
        data: what the PE has returned.
        item: the item that it got.
        copier: copies it, and counts its bytes.
        counter: counts its bytes.
        in_list: `item` is in a list, too; the inputs of a root, which are made when it is called,
            need not be.
    """
    allowed = _RETURNED if in_list and data is item else _ALONE
    if _count(data) <= allowed:
        if type(data) in CONTAINERS:
            array_bytes = _array_bytes_if_unreachable(data)
            if array_bytes is not None:
                counter.add(data, array_bytes)
                return data
        elif is_array(data) and _owns_all(data):
            counter.bytes += data.nbytes
            return data
    return copier(data, counter)


def _array_bytes_if_unreachable(data: Any) -> int | None:
    """Return the size of the arrays in a list, dict or tuple; such have no weak references.

    Returns:
        None if anything but what is around it refers to a container or array in it; or if there is
        anything else in it but containers, writable arrays and immutable values.
    """
    immutable, containers, count, once = IMMUTABLE_INSIDE, CONTAINERS, _count, _HELD
    array_bytes = 0
    kind: Any
    inside = [data]
    while inside:
        held = gc.get_referents(*inside)
        if immutable.issuperset(map(type, held)):
            break
        inside = []
        for value in held:
            kind = type(value)
            if kind in immutable:
                continue
            if kind in containers:
                if kind is tuple and immutable.issuperset(map(type, value)):
                    continue  # may be a constant, to which code refers
                if count(value) > once:
                    return None
                inside.append(value)
            elif is_array(value):
                if count(value) > once or not _owns_all(value):
                    return None
                array_bytes += value.nbytes
            elif not is_numpy_scalar(kind):
                return None
    return array_bytes


def block_of(view: memoryview) -> PrivateMemory | None:
    """Return the block that holds an array, if nothing else refers to array or block.

    Args:
        view: of the array, for which pickle has called back.  The object that was pickled, a list
            for example, may refer to the array as well.
    """
    array = view.obj
    if not is_array(array) or _count(array) > _PICKLED or getweakrefcount(array):
        return None
    owner = _private_owner(array)
    return owner if isinstance(owner, PrivateMemory) else None


def _owns_all(array: Any) -> bool:
    """Return whether an array is writable, and its memory its own; see `_private_owner`."""
    if not array.flags.writeable or has_fields(array) or getweakrefcount(array):
        return False
    if array.base is None:
        return bool(array.flags.owndata)  # else the memory has an owner that NumPy does not know
    return _private_owner(array) is not None


def _private_owner(data: Any) -> Any:
    """Return what the memory of an array belongs to.

    Returns:
        None if that can be reached otherwise, or is much larger than the array.
    """
    size = data.nbytes
    base = data.base  # the memory of a view belongs to another array, or to a buffer
    while base is not None and _count(base) <= _BASE_ALONE and not _is_mostly_unused(base, size):
        if is_array(base):
            if getweakrefcount(base):
                return None
            if base.base is None:
                return base if base.flags.owndata else None
            base = base.base
        elif type(base) is memoryview:
            if getweakrefcount(base) or not _is_only_view(base):
                return None
            base = base.obj
        else:
            return base if _is_private(base) else None
    return None


def _is_private(buffer: Any) -> bool:
    """Return whether the memory of a buffer can be reached only through the buffer."""
    if issubclass(type(buffer), PrivateMemory):
        return bool(getweakrefcount(buffer) <= buffer.watchers)
    return type(buffer) is bytearray


def _is_mostly_unused(memory: Any, size: int) -> bool:
    """Return whether an array, view or buffer is much larger than an array in its memory.

    All of the memory would be in use for as long as the array is.
    """
    if type(memory) is bytearray:
        whole = len(memory)
    elif is_array(memory) or type(memory) is memoryview:
        whole = memory.nbytes
    else:  # of a class that may do anything when it is asked
        whole = 0
    return whole > size + size // 4


def _is_only_view(view: memoryview) -> bool:
    """Return whether no other memoryview shares the buffer of a view.

    All memoryviews of a buffer hold one reference to it together, by an object that counts them.
    """
    (shared,) = gc.get_referents(view)
    return _count(shared) <= _SHARED_ALONE


def _uncounted(data: Any) -> int:
    return sys.maxsize


#: Whether references are counted, at once and all of them.
_COUNTED = sys.implementation.name == "cpython" and getattr(sys, "_is_gil_enabled", lambda: True)()
_count = sys.getrefcount if _COUNTED else _uncounted


class _Base:
    base: Any = None


def _calibrate() -> tuple[int, int, int]:
    """Return the counts for an array that a PE has made, for one that it returns, and for a base.

    They are measured, since interpreters differ in what they count for an argument: nothing since
    Python 3.14.
    """

    def measure(data: Any, item: Any) -> tuple[int, int]:
        count = _count(data)
        base = data.base
        return count, _count(base)

    def process(item: Any) -> Any:
        return item

    data = _Base()
    data.base = _Base()
    alone, base_alone = measure(data, None)
    returned = 0
    for item in [_Base()]:
        data = process(item)
        returned, _ = measure(data, item)
    return alone, returned, base_alone


def _calibrate_held() -> int:
    """Return the count for what a container holds, as `_array_bytes_if_unreachable` counts."""
    outer: list[Any] = [[]]
    counts = []
    held = gc.get_referents(outer)
    for value in held:
        counts.append(_count(value))
    return counts[0]


def _calibrate_pickled() -> int:
    """Return the count for an array in a list that was pickled."""

    def measure(view: memoryview) -> int:
        array = view.obj
        return _count(array)

    pickled = [bytearray(1)]
    return measure(memoryview(PickleBuffer(pickled[0]).raw()))


def _calibrate_views() -> int:
    """Return the count for the object that counts memoryviews, with one memoryview."""
    view = memoryview(bytearray())
    (shared,) = gc.get_referents(view)
    return _count(shared)


_ALONE, _RETURNED, _BASE_ALONE = _calibrate() if _COUNTED else (0, 0, 0)
_HELD = _calibrate_held() if _COUNTED else 0
_PICKLED = _calibrate_pickled() if _COUNTED else 0
_SHARED_ALONE = _calibrate_views() if _COUNTED else 0
