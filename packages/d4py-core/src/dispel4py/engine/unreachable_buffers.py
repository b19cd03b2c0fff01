"""Arrays of an item whose memory its copy can have, since nothing but the item refers to them.

An object such as a DataFrame is copied by pickle, which calls back for each large array in it.
Where the object is unreachable (`dispel4py.engine.unreachable_items`), so are the parts of it to
which nothing outside refers.  What refers to a part is found as by Python's garbage collector: an
object with more references than its graph explains can be reached from outside, and so can all that
it refers to.  (CPython's InternalDocs, *Garbage collector design*: "Identifying reference cycles".)
"""

from __future__ import annotations

import gc
import sys
from collections import Counter
from collections.abc import Sequence
from types import BuiltinFunctionType, CodeType, FunctionType, ModuleType
from typing import Any
from weakref import ReferenceType, getweakrefcount

from dispel4py.engine.immutable_types import IMMUTABLE_INSIDE
from dispel4py.engine.unreachable_items import (
    COUNTS_REFERENCES,
    PrivateMemory,
    is_mostly_unused,
    is_private,
)

#: Bytes of arrays that take less time to copy than to find out.
_LEAST_BYTES = 1 << 17
#: To look at an object takes about as long as to copy so many bytes.
_BYTES_PER_OBJECT = 4096
#: Types of objects that belong to the program and not to an item.
_OF_PROGRAM = (type, ModuleType, FunctionType, BuiltinFunctionType, CodeType)


def have_own_memory(item: Any, views: Sequence[memoryview], known: Sequence[Any]) -> list[bool]:
    """Return for each array of an item whether its memory can be reached only through the item.

    Args:
        item: the item, which nothing refers to but the callers.
        views: the memory of its arrays, as pickle has called back for it.
        known: objects of the caller that refer to the same memory.
    """
    size = sum(view.nbytes for view in views)
    owners: list[int | None] = [None] * len(views)
    if COUNTS_REFERENCES and size >= _LEAST_BYTES:
        graph = _Graph([item, *views, *known], size // _BYTES_PER_OBJECT)
        if graph.is_complete:
            owners = [graph.owner_of(view.obj) for view in views]
    # Two arrays of an item may have one memory, and never have in its copy.
    return [owner is not None and owners.count(owner) == 1 for owner in owners]


class _Graph:
    """Objects, and all that can be changed of what they refer to.

    Args:
        objects: the first ones; others are appended.
        most: number of others at which to give up.

    Attributes:
        is_complete: there were no more.
    """

    def __init__(self, objects: list[Any], most: int) -> None:
        first = len(objects)
        self._objects = objects
        self._numbers = {id(value): number for number, value in enumerate(objects)}
        self._references = [0] * first  # from within the graph
        self._held: list[list[int]] = []
        for value in objects:
            self._held.append([self._noted(held) for held in _held_by(value)])
            if len(objects) > first + most:
                break
        del value  # the name would count as a reference
        self.is_complete = len(self._held) == len(objects)
        self._reachable = self._reachable_from_outside(first) if self.is_complete else set()

    def owner_of(self, data: Any) -> int | None:
        """Return the number of the object that has the memory of an array.

        Returns:
            None if the memory can be reached from outside of the graph, or is much larger than the
            array.
        """
        size = data.nbytes if _is_any_array(data) else 0
        while True:
            number = self._numbers.get(id(data))
            if number is None or number in self._reachable or is_mostly_unused(data, size):
                return None
            if _is_any_array(data):
                if data.base is None:
                    return number if data.flags.owndata else None
                data = data.base
            elif type(data) is memoryview:
                data = data.obj
            else:
                return number if is_private(data) else None

    def _noted(self, value: Any) -> int:
        """Note a reference to an object; return the object's number."""
        number = self._numbers.setdefault(id(value), len(self._objects))
        if number == len(self._objects):
            self._objects.append(value)
            self._references.append(0)
        self._references[number] += 1
        return number

    def _reachable_from_outside(self, first: int) -> set[int]:
        """Return the numbers of the objects that something outside of the graph refers to.

        Args:
            first: number of objects of which that is known not to be so, or not to matter.
        """
        # Counted before a name in this function refers to any of them.
        counts = _reference_counts(self._objects)
        weak = Counter[int]()
        for number, value in enumerate(self._objects):
            target = None
            if issubclass(type(value), ReferenceType):
                target = self._numbers.get(id(value()))
            if target is not None:
                weak[target] += 1
                self._held[number].append(target)
        found = [
            number
            for number, value in enumerate(self._objects)
            if (number >= first and counts[number] > self._references[number] + _IN_LIST)
            or getweakrefcount(value) > weak[number] + _watchers(value)
            or hasattr(type(value), "__del__")  # may hand on what the object has, as to a pool
        ]
        reachable = set(found)
        while found:
            new = set(self._held[found.pop()]) - reachable
            reachable |= new
            found += new
        return reachable


def _held_by(value: Any) -> list[Any]:
    """Return what an object refers to, without what belongs to the program or is immutable."""
    held = [
        other
        for other in gc.get_referents(value)
        if type(other) not in IMMUTABLE_INSIDE and not issubclass(type(other), _OF_PROGRAM)
    ]
    if _is_any_array(value):
        base = value.base  # the collector does not know of it
        if base is not None and all(other is not base for other in held):
            held.append(base)
    return held


def _is_any_array(value: Any) -> bool:
    """Return whether an object is a NumPy array of any kind; NumPy is not imported for that."""
    numpy: Any = sys.modules.get("numpy")
    return numpy is not None and issubclass(type(value), numpy.ndarray)


def _watchers(value: Any) -> int:
    """Return how many weak references to an object its owner holds."""
    return value.watchers if isinstance(value, PrivateMemory) else 0


def _reference_counts(values: list[Any]) -> list[int]:
    """Return how many references there are to each of some objects; see `_IN_LIST`."""
    count = sys.getrefcount
    return [count(value) for value in values]


#: References to an object in a list alone, as they are counted: interpreters differ in that.
(_IN_LIST,) = _reference_counts([object()]) if COUNTS_REFERENCES else (0,)
