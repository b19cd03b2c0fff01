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
from collections import Counter, deque
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
#: Elements of a container that take as long as an object, as most need no more than their type.
_ELEMENTS_PER_OBJECT = 16
#: Containers that can have many elements.
_SIZED: tuple[type[Any], ...] = (dict, list, tuple, set, frozenset, deque)
#: What finds the callback of a weak reference, whatever its class has by that name.
_CALLBACK: Any = vars(ReferenceType)["__callback__"]
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
    if COUNTS_REFERENCES and _SHOWS_VARS and size >= _LEAST_BYTES:
        graph = _Graph([item, *views], known, size // _BYTES_PER_OBJECT)
        if graph.is_complete:
            owners = [graph.owner_of(view.obj) for view in views]
    # Two arrays of an item may have one memory, and never have in its copy.
    return [owner is not None and owners.count(owner) == 1 for owner in owners]


class _Graph:
    """Objects, and all that can be changed of what they refer to.

    Args:
        objects: the first ones, to which nothing refers but the caller; others are appended.
        known: objects to which a list of the caller refers once.
        most: number of others at which to give up.

    Attributes:
        is_complete: there were no more.
    """

    def __init__(self, objects: list[Any], known: Sequence[Any], most: int) -> None:
        alone = len(objects)
        objects += known
        first = len(objects)
        self._objects = objects
        self._numbers = {id(value): number for number, value in enumerate(objects)}
        self._references = [0] * alone + [1] * len(known)  # those that are explained
        self._held: list[list[int]] = []
        for value in objects:
            if _size(value) > most * _ELEMENTS_PER_OBJECT:
                break
            self._held.append([self._noted(held) for held in _held_by(value)])
            if len(objects) > first + most:
                break
        del value  # the name would count as a reference
        self.is_complete = len(self._held) == len(objects)
        self._reachable = self._reachable_from_outside(alone) if self.is_complete else set()

    def owner_of(self, data: Any) -> int | None:
        """Return the number of the object that has the memory of an array.

        Returns:
            None if the memory can be reached from outside of the graph, or is much larger than the
            array; and for an array of a subclass, whose attributes could be reached through it.
        """
        is_array = _is_any_array(data)
        if is_array and type(data) is not _ndarray():
            return None
        size = data.nbytes if is_array else 0
        while True:
            number = self._numbers.get(id(data))
            if number is None or number in self._reachable or is_mostly_unused(data, size):
                return None
            if _is_any_array(data):
                base = _base_of(data)
                if base is None:
                    return number if _ndarray().flags.__get__(data).owndata else None
                data = base
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

    def _reachable_from_outside(self, alone: int) -> set[int]:
        """Return the numbers of the objects that something outside of the graph refers to.

        Args:
            alone: number of objects of which that is known not to be so.
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
            if (number >= alone and counts[number] > self._references[number] + _IN_LIST)
            or getweakrefcount(value) > weak[number] + _watchers(value)
            or _may_hand_on(value)
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
        base = _base_of(value)  # the collector does not know of it
        if base is not None and all(other is not base for other in held):
            held.append(base)
    return held


def _shows_vars() -> bool:
    """Return whether an object refers to its `__dict__`, and that to what the object has.

    Neither is so in Python 3.13, where the values of small objects lie within them.
    """

    class Plain:
        def __init__(self) -> None:
            self.part: list[int] = []

    plain = Plain()
    known = vars(plain)
    return any(other is known for other in gc.get_referents(plain)) and any(
        other is plain.part for other in gc.get_referents(known)
    )


def _size(value: Any) -> int:
    """Return the number of elements of a container; 0 for other objects."""
    for kind in _SIZED:
        if issubclass(type(value), kind):
            return int(kind.__len__(value))
    return 0


def _may_hand_on(value: Any) -> bool:
    """Return whether the end of an object may hand on what it refers to, as to a pool."""
    kind = type(value)
    if issubclass(kind, ReferenceType):
        return _CALLBACK.__get__(value) is not None
    return hasattr(kind, "__del__")


def _base_of(array: Any) -> Any:
    """Return what the memory of an array belongs to, whatever its class has as `base`."""
    return _ndarray().base.__get__(array)


def _is_any_array(value: Any) -> bool:
    """Return whether an object is a NumPy array of any kind."""
    return issubclass(type(value), _ndarray())


def _ndarray() -> Any:
    """Return the type of NumPy's arrays, or no type if NumPy is not imported."""
    numpy: Any = sys.modules.get("numpy")
    return () if numpy is None else numpy.ndarray


def _watchers(value: Any) -> int:
    """Return how many weak references to an object its owner holds."""
    return value.watchers if issubclass(type(value), PrivateMemory) else 0


def _reference_counts(values: list[Any]) -> list[int]:
    """Return how many references there are to each of some objects; see `_IN_LIST`."""
    count = sys.getrefcount
    return [count(value) for value in values]


#: References to an object in a list alone, as they are counted: interpreters differ in that.
(_IN_LIST,) = _reference_counts([object()]) if COUNTS_REFERENCES else (0,)
#: Whether the references that the collector knows of are all that lead from an object to its parts.
_SHOWS_VARS = _shows_vars()
