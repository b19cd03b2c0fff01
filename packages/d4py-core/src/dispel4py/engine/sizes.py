"""How many bytes items take: by what they are when they are pickled, never by how they look.

What an object says of its size (`nbytes`, `sys.getsizeof`) leaves out what it refers to, or all
that a library holds for it, so a batch that trusted it could hold any amount of memory.  Pickling
finds everything.  Items that are copied by pickle are measured on the way; of others, one in some.
"""

from __future__ import annotations

import pickle
import sys
from collections.abc import Sequence
from contextlib import suppress
from types import FunctionType
from typing import Any

from dispel4py.engine.unique_arrays import is_array

#: What any item takes; texts up to so many characters are not looked at any closer.
SMALL_BYTES = 32

#: Where items are alike, one in so many is measured.
_MEASURED = 32
#: How many items of a batch are measured to judge the others.
_LOOKED_AT = 4
#: Opcodes of a pickle that make an object: of what it remembers, floats and most integers; and how
#: much larger such an object is than its part of the pickle, in bytes.
_OBJECTS, _OBJECT_BYTES = b"\x94GJM", 48
#: A pickle that is no longer is not looked at any closer.
_SHORT = 128
_SMALL = frozenset({int, float, bool, complex, type(None)})


def size_of(item: Any) -> int:
    """Return about how many bytes an item takes, with everything that it refers to."""
    kind = type(item)
    if kind in _SMALL:
        return SMALL_BYTES
    if kind is str or kind is bytes or kind is bytearray:
        return sys.getsizeof(item)
    if is_array(item):
        return SMALL_BYTES + int(item.nbytes)
    buffers: list[pickle.PickleBuffer] = []
    try:
        data = pickle.dumps(item, protocol=5, buffer_callback=buffers.append)
        return unpickled_bytes(data) + sum(buffer.raw().nbytes for buffer in buffers)
    except Exception:  # a user's __reduce__ may raise anything
        meter = _Meter()
        with suppress(Exception):  # what was met until then counts
            _Measuring(meter, protocol=5, buffer_callback=meter.beside).dump(item)
        return SMALL_BYTES + meter.bytes


def unpickled_bytes(data: bytes) -> int:
    """Return about how many bytes a pickle takes once it is made objects again.

    A record of many small objects takes ten times the memory of its pickle.  Where texts and binary
    data have the same bytes as those opcodes they look larger than they are, which does no harm:
    their batches are smaller.
    """
    if len(data) <= _SHORT:
        return _SHORT
    return len(data) + _OBJECT_BYTES * (len(data) - len(data.translate(None, _OBJECTS)))


def estimate_bytes(items: Sequence[Any]) -> int:
    """Return about how many bytes a batch takes, judged from a few of its items."""
    if not items:
        return 0
    few = items[:: len(items) // _LOOKED_AT or 1]
    return sum(map(size_of, few)) * len(items) // len(few)


class ByteCounter:
    """Keeps count of the bytes of items that are gathered somewhere.

    Attributes:
        bytes: about how many bytes they take, beside `SMALL_BYTES` each; whoever takes items away
            takes theirs away, too.
        last: how large the last one was that was measured.
        to_come: so many come before another one is.
    """

    __slots__ = ("bytes", "last", "to_come")

    def __init__(self) -> None:
        self.bytes = 0
        self.last = self.to_come = 0

    def add(self, item: Any) -> None:
        """Count an item; one in some is measured, the others are taken to be as large as that."""
        if self.to_come:
            self.to_come -= 1
            self.bytes += self.last
        else:
            self.measure(item)

    def measure(self, item: Any) -> None:
        """Count an item as it is."""
        self.to_come = _MEASURED - 1
        self.last = size_of(item)
        self.bytes += self.last


class _Meter:
    """Takes what a pickler writes, and keeps its length alone."""

    def __init__(self) -> None:
        self.bytes = 0

    def write(self, data: bytes | pickle.PickleBuffer) -> int:
        size = memoryview(data).nbytes
        self.bytes += size
        return size

    def beside(self, buffer: pickle.PickleBuffer) -> None:
        self.bytes += buffer.raw().nbytes


class _Measuring(pickle.Pickler):
    """Goes past what can only be pickled by other means (dill), and finds what that holds."""

    def reducer_override(self, value: Any) -> Any:
        if type(value) is FunctionType:
            cells = [cell.cell_contents for cell in value.__closure__ or ()]
            return len, ((cells, value.__defaults__),)
        if isinstance(value, type):
            return len, ("",)
        return NotImplemented
