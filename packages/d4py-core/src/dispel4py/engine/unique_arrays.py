"""Arrays that nobody but the runner can reach any more, and that need no copy therefore.

What a PE returns has to be copied if the PE, or whoever gave it the item, may still change it.  For
a NumPy array that can be ruled out by counting references: a result that was just computed has none
but the one that is looked at.  Where references are not counted, nothing is ever ruled out.
"""

from __future__ import annotations

import gc
import sys
from typing import Any
from weakref import getweakrefcount


class PrivateMemory:
    """Marks types of buffers whose memory is reached through them alone, as a `bytearray`'s is.

    Attributes:
        watchers: how many weak references to such a buffer its owner holds.
    """

    __slots__ = ()

    watchers = 0


def is_unreachable(data: Any, item: Any) -> bool:
    """True if `data` is a writable array that only the caller's variable refers to.

    Called as ``is_unreachable(data, item)`` with two local variables, where `item` came out of a
    list that holds it too: where a PE returns the very array that it got, the list and the two
    variables named `item` are references that do not count.
    """
    if not is_array(data) or not data.flags.writeable:
        return False
    allowed = _ALONE + 3 if data is item else _ALONE
    if _count(data) > allowed or getweakrefcount(data):
        return False
    base = data.base  # the memory of a view belongs to another array, or to a buffer
    if base is None:
        return bool(data.flags.owndata)  # else it belongs to an owner that NumPy does not know
    while True:
        if _count(base) > _BASE_ALONE:
            return False
        if is_array(base):
            if getweakrefcount(base):
                return False
            if base.base is None:
                return bool(base.flags.owndata)
            base = base.base
        elif type(base) is memoryview:
            if getweakrefcount(base) or not _is_only_view(base):
                return False
            base = base.obj
        elif isinstance(base, PrivateMemory):
            return getweakrefcount(base) <= base.watchers
        else:
            return type(base) is bytearray


def _is_only_view(view: memoryview) -> bool:
    """Return True if no other memoryview has come from this one or from the one that it came from.

    All of them together hold one reference to the buffer, through an object that counts them.
    """
    (shared,) = gc.get_referents(view)
    return _count(shared) <= _SHARED_ALONE


def is_array(data: Any) -> bool:
    """A plain NumPy array that holds its data itself; told without importing NumPy."""
    kind = type(data)
    if kind not in _ARRAYS:
        if kind.__name__ != "ndarray" or kind.__module__ != "numpy":
            return False
        _ARRAYS.add(kind)
    return not data.dtype.hasobject


#: NumPy's type, once it was met.
_ARRAYS: set[type] = set()


def _uncounted(data: Any) -> int:
    return sys.maxsize


_COUNTED = sys.implementation.name == "cpython" and getattr(sys, "_is_gil_enabled", lambda: True)()
_count = sys.getrefcount if _COUNTED else _uncounted


class _Base:
    base: Any = None


def _calibrate() -> tuple[int, int]:
    """How many references are counted for what only a caller's variable refers to.

    Measured, since interpreters differ in what they count for an argument on its way.
    """

    def look(data: Any, item: Any) -> tuple[int, int]:
        alone = _count(data)
        base = data.base
        return alone, _count(base)

    data = _Base()
    data.base = _Base()
    return look(data, None)


def _calibrate_views() -> int:
    """Do the same for what counts memoryviews, where there is one."""
    view = memoryview(bytearray())
    (shared,) = gc.get_referents(view)
    return _count(shared)


_ALONE, _BASE_ALONE = _calibrate() if _COUNTED else (0, 0)
_SHARED_ALONE = _calibrate_views() if _COUNTED else 0
