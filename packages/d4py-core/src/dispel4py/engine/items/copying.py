"""Copies of items, so that a receiver is independent of the sender and of other receivers.

Immutable items are passed on without a copy; a list or dict, and those in it, are copied in a few
steps (`dispel4py.engine.items.nested_copies`); all other items go through pickle, with their large
buffers copied once, or, where pickle refuses, through `dispel4py.pickling.local_copies`.
"""

from __future__ import annotations

import gc
import pickle
from collections.abc import Callable, Coroutine, Generator
from types import FunctionType
from typing import Any

from dispel4py.engine.items.arrays import has_fields, is_array
from dispel4py.engine.items.immutable_types import (
    IMMUTABLE,
    IMMUTABLE_INSIDE,
    add_imported_types,
    is_numpy_scalar,
)
from dispel4py.engine.items.item_ids import InstanceSnapshot, Item
from dispel4py.engine.items.nested_copies import copy_nested
from dispel4py.engine.items.places import Placed
from dispel4py.engine.items.reorder_buffer import OrderedSnapshot
from dispel4py.engine.items.sizes import ByteCounter, unpickled_bytes
from dispel4py.errors import D4pyError, ItemError, describe_exception, shorten, text_of
from dispel4py.exceptions.unwinding import reraise_foreign
from dispel4py.files.open_files import REFUSE_FILES, OpenFileError, describe_file
from dispel4py.object_types import is_of_type
from dispel4py.pickling.item_pickles import dumps
from dispel4py.pickling.local_copies import closed_over, copy_locally

_ADVICE = "send plain data, and open files, locks and connections in preprocess()"

Copier = Callable[[Any], Any]
#: A copier that also counts the bytes of the item.
CountingCopier = Callable[[Any, ByteCounter], Any]
#: Makes what is sent of a pickle and its buffers, of which nothing else is to be used any more.
Pack = Callable[[bytes, list[memoryview]], Any]
#: Items with a buffer of at least so many bytes are packed; smaller ones take less time to copy
#: twice than memory of a new size takes to have where they are sent from.
KEPT_BYTES = 1 << 18


def copy_item(item: Any, counter: ByteCounter | None = None, pack: Pack | None = None) -> Any:
    """Return a copy that shares no mutable state with an item; its arrays are writable.

    Args:
        item: the item.
        counter: counts the bytes of the item.
        pack: takes large arrays, and objects with large buffers, instead of making them again.

    Raises:
        ItemError: neither pickle nor `copy_locally` can copy the item.
    """
    kind: Any = type(item)
    if kind in IMMUTABLE_INSIDE:
        return item
    if kind is list or kind is tuple:
        if IMMUTABLE_INSIDE.issuperset(map(type, item)):
            flat = item[:]  # of a tuple, that is the same object
        else:
            flat = copy_nested(item, IMMUTABLE_INSIDE)
    elif kind is dict:
        held = gc.get_referents(item)
        # Since Python 3.13 a dict that is `vars()` of an object has none.
        if len(held) >= len(item) and IMMUTABLE_INSIDE.issuperset(map(type, held)):
            flat = item.copy()
        else:
            flat = copy_nested(item, IMMUTABLE_INSIDE)
    else:
        return _copy_object(item, kind, counter, pack)
    if flat is None:
        if counter is not None:
            counter.has_trees = True
        return _copy_any(item, counter, pack)
    if counter is not None:
        if counter.to_come:  # as `ByteCounter.add`, without a call
            counter.to_come -= 1
            counter.bytes += counter.last
        else:
            counter.measure(item)
    return flat


def _copy_object(item: Any, kind: type, counter: ByteCounter | None, pack: Pack | None) -> Any:
    """Return a copy of an item of another type."""
    if is_numpy_scalar(kind):
        return item
    is_plain = is_array(item) and not has_fields(item)
    if is_plain and (pack is None or item.nbytes < KEPT_BYTES):
        if counter is not None:
            counter.bytes += item.nbytes
        return item.copy(order="K")
    return _copy_any(item, counter, pack)


def share_item(item: Any, counter: ByteCounter | None = None) -> Any:
    """Return the item itself: replaces `copy_item` if the run has ``share_items=True``."""
    if counter is not None:
        if is_array(item):
            counter.bytes += item.nbytes
        else:
            counter.add(item)
    return item


def counting(copier: Copier) -> CountingCopier:
    """Return a `Copier` that also counts bytes."""
    if copier is copy_item or copier is share_item:
        return copier

    def copy_and_count(item: Any, counter: ByteCounter) -> Any:
        return copier(share_item(item, counter))

    return copy_and_count


def _copy_any(item: Any, counter: ByteCounter | None, pack: Pack | None) -> Any:
    if add_imported_types():
        return copy_item(item, counter, pack)
    try:
        buffers: list[pickle.PickleBuffer] = []
        data = dumps(item, buffers.append)
        if not buffers:
            if counter is not None:
                counter.bytes += unpickled_bytes(data)
            return pickle.loads(data)
        views = [buffer.raw() for buffer in buffers]
        sizes = [view.nbytes for view in views]
        if counter is not None:
            counter.bytes += unpickled_bytes(data) + sum(sizes)
        if pack is not None and max(sizes) >= KEPT_BYTES:
            return pack(data, views)
        return pickle.loads(data, buffers=map(bytearray, views))
    except BaseException as error:  # a user's __reduce__ may raise anything
        reraise_foreign(error)
        return _copy_unpicklable(item, counter)


def _copy_unpicklable(item: Any, counter: ByteCounter | None) -> Any:
    """Return a copy of an item that pickle has failed to copy."""
    try:
        if counter is not None:
            counter.add(item)
        return copy_locally(item, IMMUTABLE)
    except BaseException as error:
        reraise_foreign(error)
        error.__context__ = None  # pickle has failed for the same reason
        raise cannot_carry(item, error) from error


def cannot_load(error: BaseException) -> ItemError:
    """Return the error for an item that its receiver cannot unpickle."""
    found = ItemError(
        "an item cannot be unpickled in the process that has received it"
        f" ({describe_exception(error)})"
    )
    found.__cause__ = error
    return found


def cannot_carry(item: Any, error: BaseException, advice: str = _ADVICE) -> ItemError:
    """Return the error for an item or PE that cannot be copied; it names the attribute."""
    while type(item) in (Item, Placed, InstanceSnapshot, OrderedSnapshot):
        item = item.data if type(item) in (Item, Placed) else item.pe
    # What pickle itself raises says enough by its text.
    plain = (D4pyError, TypeError, RecursionError, pickle.PicklingError)
    reason = text_of(error) if isinstance(error, plain) else describe_exception(error)
    where = ""
    is_file = isinstance(error, OpenFileError)
    if (culprit := _find_culprit(item, is_file=is_file)) is not None:
        place, value = culprit
        where = f" because of {place} (a {type(value).__name__})"
        if type(value) in REFUSE_FILES and not is_file:
            reason = f"{describe_file(value)} is open"
    elif is_of_type(item, (Generator,)):
        advice = "write each item with self.write() instead, or send a list of them"
    elif is_of_type(item, (Coroutine,)):
        advice = "send what it comes to: await it, in a function that asyncio.run() calls"
    return ItemError(
        f"{shorten(item)} of type {type(item).__name__} cannot be handed on{where}: {reason};"
        f" {advice}"
    )


def _find_culprit(item: Any, *, is_file: bool = False) -> tuple[str, Any] | None:
    """Return the first attribute or element that cannot be copied, one level down.

    Args:
        item: the item.
        is_file: an open file is the reason, so prefer one on that level.
    """
    culprits = [part for part in _parts_of(item) if not _can_copy(pickle.dumps, part[1])]
    if is_file:
        culprits = [part for part in culprits if type(part[1]) in REFUSE_FILES] or culprits
    # Functions can be copied by other means, so prefer a part that cannot be copied by any.
    culprits = [part for part in culprits if not _can_copy(copy_locally, part[1])] or culprits
    return culprits[0] if culprits else None


def _parts_of(item: Any) -> list[tuple[str, Any]]:
    """Return the elements, variables or attributes of an item, each with its place."""
    if is_of_type(item, dict):
        return [(f"the value at key {shorten(key)}", value) for key, value in item.items()]
    if is_of_type(item, list | tuple | set | frozenset):
        return [(f"element {i}", value) for i, value in enumerate(item)]
    if is_of_type(item, FunctionType):
        return [(f"variable {name!r}", value) for name, value in closed_over(item)]
    attributes = getattr(item, "__dict__", {})
    return [(f"attribute {name!r}", value) for name, value in attributes.items()]


def _can_copy(copy: Callable[[Any], Any], value: Any) -> bool:
    try:
        copy(value)
    except BaseException as error:  # a user's __reduce__ or __deepcopy__ may raise anything
        reraise_foreign(error)
        return False
    return True
