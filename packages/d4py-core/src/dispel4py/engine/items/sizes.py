"""Sizes of items in bytes, estimated from their pickles.

The size that an object reports (`nbytes`, `sys.getsizeof`) excludes objects that it refers to, and
memory that a library holds for it, so the memory of a batch would not be bounded.  A pickle has
everything.  Items that are copied by pickle are measured in passing; of other items, one in some.
"""

from __future__ import annotations

import pickle
import sys
from collections.abc import Sequence
from contextlib import suppress
from types import FunctionType
from typing import Any

from dispel4py.engine.items.arrays import is_array
from dispel4py.object_types import is_of_type
from dispel4py.pickling.item_pickles import dumps

#: Size of a small item; texts of at most so many characters are not measured.
SMALL_BYTES = 32

#: One item in so many is measured, and the others are assumed to have the same size.
_SAMPLE_INTERVAL = 32
#: How many items of a batch are measured to estimate its size.
_SAMPLES = 4
#: Opcodes of a pickle that create an object: memoized ones, floats and most integers.
_OBJECTS = b"\x94GJM"
#: How many bytes larger such an object is than its part of the pickle; builds of Python without a
#: global interpreter lock have larger ones.
_OBJECT_BYTES = 64 if "t" in getattr(sys, "abiflags", "") else 48
#: A pickle that is not longer counts as this long.
_SHORT = 128
#: In a longer pickle objects are counted in so many slices of so many bytes: to search all of it
#: takes ten times as long as to copy it.
_SLICES, _SLICE_BYTES = 64, 1024
#: Where in its part of the pickle each slice begins, from 0 to 1.  Multiples of the golden ratio
#: never repeat, so that the slices do not all fall on the same field of records of equal size.
_OFFSETS = tuple(number * (5**0.5 - 1) / 2 % 1 for number in range(_SLICES))
_SMALL = frozenset({int, float, bool, complex, type(None)})


def size_of(item: Any) -> int:
    """Return the approximate size of an item, with all objects that it refers to."""
    kind = type(item)
    if kind in _SMALL:
        return SMALL_BYTES
    if kind is str or kind is bytes or kind is bytearray:
        return sys.getsizeof(item)
    if is_array(item):
        return SMALL_BYTES + int(item.nbytes)
    buffers: list[pickle.PickleBuffer] = []
    try:
        data = dumps(item, buffers.append)
        return unpickled_bytes(data) + sum(buffer.raw().nbytes for buffer in buffers)
    except Exception:  # a user's __reduce__ may raise anything
        meter = _Meter()
        with suppress(Exception):  # what was written until then counts
            _MeasuringPickler(meter, protocol=5, buffer_callback=meter.count_buffer).dump(item)
        return SMALL_BYTES + meter.bytes


def unpickled_bytes(data: bytes) -> int:
    """Return the approximate size of the objects of a pickle.

    A record of many small objects takes ten times the memory of its pickle.  The size of texts and
    binary data that contain the same bytes as those opcodes is overestimated, which does no harm:
    their batches are smaller.
    """
    length = len(data)
    if length <= _SHORT:
        return _SHORT
    if length <= _SLICES * _SLICE_BYTES:
        return length + _OBJECT_BYTES * _count_objects(data)
    part = length / _SLICES
    starts = [
        int(number * part + offset * (part - _SLICE_BYTES))
        for number, offset in enumerate(_OFFSETS)
    ]
    sample = b"".join([data[start : start + _SLICE_BYTES] for start in starts])
    return length + _OBJECT_BYTES * _count_objects(sample) * length // len(sample)


def _count_objects(data: bytes) -> int:
    return len(data) - len(data.translate(None, _OBJECTS))


def estimate_bytes(items: Sequence[Any]) -> int:
    """Return the approximate size of a batch, from a sample of its items."""
    if not items:
        return 0
    sample = items[:: len(items) // _SAMPLES or 1]
    return sum(map(size_of, sample)) * len(items) // len(sample)


class ByteCounter:
    """Counts the bytes of the items in a list.

    Attributes:
        bytes: approximate size of the items, without `SMALL_BYTES` for each; code that removes
            items subtracts theirs.
        has_trees: items were copied that are containers with many others inside.
        last: size of the last item that was measured, without that of arrays that was given.
        to_come: number of items until the next one is measured.
    """

    __slots__ = ("bytes", "has_trees", "last", "to_come")

    def __init__(self) -> None:
        self.bytes = 0
        self.last = self.to_come = 0
        self.has_trees = False

    def add(self, item: Any, array_bytes: int = 0) -> None:
        """Count an item; one in some is measured, and the others are assumed to be as large.

        Args:
            item: the item.
            array_bytes: size of arrays in it, to which that does not apply.
        """
        if self.to_come:
            self.to_come -= 1
            self.bytes += self.last + array_bytes
        else:
            self.measure(item, array_bytes)

    def measure(self, item: Any, array_bytes: int = 0) -> None:
        """Measure and count an item; see `add`."""
        self.to_come = _SAMPLE_INTERVAL - 1
        self.last = size_of(item) - array_bytes
        self.bytes += self.last + array_bytes


class _Meter:
    """A file that counts the bytes that a pickler writes."""

    def __init__(self) -> None:
        self.bytes = 0

    def write(self, data: bytes | pickle.PickleBuffer) -> int:
        size = memoryview(data).nbytes
        self.bytes += size
        return size

    def count_buffer(self, buffer: pickle.PickleBuffer) -> None:
        self.bytes += buffer.raw().nbytes


class _MeasuringPickler(pickle.Pickler):
    """Skips functions and classes, which need another pickler (dill), but not what they hold."""

    def reducer_override(self, value: Any) -> Any:
        if type(value) is FunctionType:
            cells = [cell.cell_contents for cell in value.__closure__ or ()]
            return len, ((cells, value.__defaults__),)
        if is_of_type(value, type):
            return len, ("",)
        return NotImplemented
