"""A hash of group keys that is the same in every process, on every host.

Python's own `hash` of a string differs from process to process, so it cannot say which instance
an item belongs to.  `stable_hash` follows Python's equality instead: ``1 == 1.0 == True`` hash
alike, as do equal dicts and sets whatever their order, and it does not depend on PYTHONHASHSEED.

    >>> stable_hash((1, "a")) == stable_hash((1.0, "a"))
    True
"""

from __future__ import annotations

import dataclasses
import datetime
import enum
import numbers
import pathlib
import uuid
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any

from dispel4py.isolation import is_numpy_scalar

_MASK = (1 << 64) - 1
_EPOCH = datetime.datetime(1970, 1, 1)
_MICROSECOND = datetime.timedelta(microseconds=1)

# Different kinds of value that are never equal start from different seeds.
_NONE, _TEXT, _BYTES, _TUPLE, _LIST, _DICT, _SET, _TIME, _OTHER, _NAN = (
    number << 56 for number in range(1, 11)
)


def stable_hash(key: Any) -> int:
    """A 64-bit hash of a key; equal keys have equal hashes in every process.

    Takes numbers, strings, bytes, None, dates and times, enum members, UUIDs, paths, dataclasses
    that compare by value, NumPy scalars, and tuples, lists, dicts and sets of these.

    Raises:
        TypeError: the key is, or holds, something else.
    """
    kind = type(key)
    if kind is str:
        return _text(key)
    if kind is int:
        return _mix(hash(key))
    hasher = _HASHER_OF.get(kind)
    if hasher is None:
        hasher = _HASHER_OF[kind] = _find_hasher(key)
    return hasher(key)


def group_key(item: Any, keys: Sequence[Any]) -> Any:
    """The part of an item that a grouping looks at: ``item[k]`` for each key."""
    if len(keys) == 1:
        return item[keys[0]]
    return tuple([item[key] for key in keys])


def _mix(value: int) -> int:
    """Spread a number over 64 bits, so that ``% n`` is even for keys in any pattern.

    Algorithm: the finalizer of splitmix64 (Steele, Lea and Flood, OOPSLA 2014).
    """
    value = (value + 0x9E3779B97F4A7C15) & _MASK
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & _MASK
    return value ^ (value >> 31)


def _text(key: str) -> int:
    return _bytes(str.encode(key, "utf-8", "surrogatepass"), _TEXT)


def _bytes(key: Any, seed: int = _BYTES) -> int:
    data = bytes(key)
    return _mix(zlib.crc32(data) ^ (len(data) << 32) ^ seed)


def _ordered(seed: int, parts: Iterable[Any]) -> int:
    result = seed
    for part in parts:
        result = _mix(result ^ stable_hash(part))
    return _mix(result)


def _unordered(seed: int, hashes: Iterable[int]) -> int:
    total = count = 0
    for value in hashes:
        total = (total + value) & _MASK
        count += 1
    return _mix(total ^ count ^ seed)


def _number(key: Any) -> int:
    # Python's hash of a number is one for all numeric types and is not randomised (Language
    # Reference, "Hashing of numeric types"); only that of NaN depends on the object.
    return _mix(_NAN) if key != key else _mix(hash(key))


# Times are compared in microseconds, whatever library they come from.
def _microseconds(number: int) -> int:
    return _mix(number & _MASK ^ _TIME)


def _date(key: datetime.date) -> int:
    if not isinstance(key, datetime.datetime):
        key = datetime.datetime(key.year, key.month, key.day)
    key = key.replace(fold=0)  # which is how Python compares and hashes it
    offset = key.utcoffset() or datetime.timedelta(0)
    return _microseconds((key.replace(tzinfo=None) - offset - _EPOCH) // _MICROSECOND)


def _time(key: datetime.time) -> int:
    since_midnight = datetime.timedelta(
        hours=key.hour, minutes=key.minute, seconds=key.second, microseconds=key.microsecond
    )
    offset = key.utcoffset() or datetime.timedelta(0)
    return _microseconds((since_midnight - offset) // _MICROSECOND)


def _dataclass(key: Any) -> int:
    values = [getattr(key, entry.name) for entry in dataclasses.fields(key) if entry.compare]
    return _ordered(_OTHER, [type(key).__qualname__, *values])


def _numpy_time(key: Any) -> int:
    return _microseconds(int(key.astype(f"{key.dtype.kind}8[us]").astype("int64")))


def _find_hasher(key: Any) -> Callable[[Any], int]:
    kind: Any = type(key)
    numpy_kind = key.dtype.kind if is_numpy_scalar(kind) else ""
    if numpy_kind in ("m", "M"):
        return _numpy_time
    if numpy_kind == "b":
        return _number
    for known, hasher in _HASHERS:
        if isinstance(key, known):
            return hasher
    parameters = getattr(kind, "__dataclass_params__", None)
    if parameters is not None and parameters.eq:
        return _dataclass
    raise TypeError(
        f"{type(key).__name__} has no hash that is the same in every process; group by numbers,"
        " strings, bytes, dates, or tuples, lists, dicts and sets of these"
    )


# The first that fits counts: subclasses stand before what they are equal to.
_HASHERS: list[tuple[type | tuple[type, ...], Callable[[Any], int]]] = [
    (type(None), lambda key: _mix(_NONE)),
    (numbers.Number, _number),
    (str, _text),
    ((bytes, bytearray, memoryview), _bytes),
    (tuple, lambda key: _ordered(_TUPLE, key)),
    (list, lambda key: _ordered(_LIST, key)),
    (
        Mapping,
        lambda key: _unordered(
            _DICT, (_mix(stable_hash(k) ^ (stable_hash(v) << 1) & _MASK) for k, v in key.items())
        ),
    ),
    (AbstractSet, lambda key: _unordered(_SET, map(stable_hash, key))),
    (datetime.date, _date),
    (datetime.time, _time),
    (datetime.timedelta, lambda key: _microseconds(key // _MICROSECOND)),
    (uuid.UUID, lambda key: _ordered(_OTHER, (key.int,))),
    (
        pathlib.PureWindowsPath,
        lambda key: _ordered(_OTHER, ("windows", key.as_posix().lower())),
    ),
    (pathlib.PurePath, lambda key: _ordered(_OTHER, ("posix", key.as_posix()))),
    (enum.Enum, lambda key: _ordered(_OTHER, (type(key).__qualname__, key.name))),
]
_HASHER_OF: dict[type, Callable[[Any], int]] = {}
