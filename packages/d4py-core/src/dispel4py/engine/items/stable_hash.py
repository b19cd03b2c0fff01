"""A hash of group keys that is the same in every process, on every host.

Python's `hash` of a string differs from process to process, so it cannot determine the instance of
an item.  `stable_hash` follows Python's equality instead: ``1 == 1.0 == True`` hash
alike, as do equal dicts and sets whatever their order, and it does not depend on PYTHONHASHSEED.

The hash of a type is determined by the class that defines its ``__eq__``.  A type with an unknown
``__eq__`` is refused, whatever it is derived from: equal keys might get different instances.

    >>> stable_hash((1, "a")) == stable_hash((1.0, "a"))
    True
"""

from __future__ import annotations

import builtins
import dataclasses
import enum
import numbers
import types
import zlib
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING, Any

from dispel4py.engine.items.immutable_types import is_numpy_scalar

if TYPE_CHECKING:
    import datetime
    import pathlib

_MASK = (1 << 64) - 1

# Different kinds of value that are never equal start from different seeds.
_NONE, _TEXT, _BYTES, _TUPLE, _LIST, _DICT, _SET, _TIME, _OTHER, _NAN = (
    number << 56 for number in range(1, 11)
)


def stable_hash(key: Any) -> int:
    """Return a 64-bit hash of a key; equal keys have equal hashes in every process.

    Keys may be numbers, strings, bytes, None, dates and times, ranges, enum members, UUIDs, paths,
    IP addresses, dataclasses (of attrs and pydantic, too) that compare by value, scalars of NumPy
    and pandas, numbers of SymPy, and tuples, lists, dicts and sets of these.

    Raises:
        TypeError: the key is, or contains, another object, or its ``__eq__`` is unknown.
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


_HASH_OF_ZERO = _number(0)


def _view(key: memoryview) -> int:
    if key.format not in ("B", "b", "c"):  # it would equal a view of other bytes
        raise TypeError(f"a memoryview of format {key.format!r}: group by its bytes, tobytes()")
    return _bytes(key)


def _range(key: range) -> int:
    # Ranges of the same numbers are equal, however they end.
    return _ordered(_OTHER, ("range", *key[:2], len(key)))


def _mapping(key: Mapping[Any, Any]) -> int:
    # To a Counter a missing key is a zero, and Counters and dicts can be equal.
    values = ((k, stable_hash(v)) for k, v in key.items())
    return _unordered(
        _DICT,
        (_mix(stable_hash(k) ^ (v << 1) & _MASK) for k, v in values if v != _HASH_OF_ZERO),
    )


# Times are compared in microseconds, whatever library they come from.
def _microseconds(number: int) -> int:
    return _mix(number & _MASK ^ _TIME)


def _duration(key: datetime.timedelta) -> int:
    return _microseconds((key.days * 86_400 + key.seconds) * 1_000_000 + key.microseconds)


def _date(key: datetime.date) -> int:
    from datetime import datetime, timedelta

    if not isinstance(key, datetime):
        key = datetime(key.year, key.month, key.day)
    key = key.replace(fold=0)  # as Python does to compare and hash it
    offset = key.utcoffset() or timedelta(0)
    # In this order, since the time in UTC may be outside the years 1 to 9999.
    return _duration(key.replace(tzinfo=None) - datetime(1970, 1, 1) - offset)


def _time(key: datetime.time) -> int:
    from datetime import timedelta

    since_midnight = timedelta(
        hours=key.hour, minutes=key.minute, seconds=key.second, microseconds=key.microsecond
    )
    return _duration(since_midnight - (key.utcoffset() or timedelta(0)))


def _numpy_time(key: Any) -> int:
    return _microseconds(int(key.astype(f"{key.dtype.kind}8[us]").astype("int64")))


def _path(key: pathlib.PurePath) -> int:
    from pathlib import PureWindowsPath

    if isinstance(key, PureWindowsPath):
        return _ordered(_OTHER, ("windows", key.as_posix().lower()))
    return _ordered(_OTHER, ("posix", key.as_posix()))


def _fields(key: Any, names: Iterable[str], kind: type) -> int:
    return _ordered(_OTHER, [kind.__qualname__, *(getattr(key, name) for name in names)])


def _sympy_number(key: Any) -> int:
    # SymPy's hash differs from process to process.
    if isinstance(key, numbers.Rational):
        from fractions import Fraction

        return _number(Fraction(int(key.numerator), int(key.denominator)))
    return _number(float(key))


def _pydantic_model(key: Any) -> int:
    kind = key.__pydantic_generic_metadata__["origin"] or type(key)
    return _fields(key, type(key).model_fields, kind)


def _find_hasher(key: Any) -> Callable[[Any], int]:
    """Return the hash that follows the equality of a key's type.

    Raises:
        TypeError: the equality is unknown.
    """
    kind: Any = type(key)
    owner: Any = next(cls for cls in kind.__mro__ if "__eq__" in vars(cls))
    if kind is type(None):
        return lambda key: _mix(_NONE)
    if owner in _HASHERS:
        return _HASHERS[owner]
    hasher = _hasher_of_library(key, owner)
    if hasher is not None:
        return hasher
    if owner is object and isinstance(key, enum.Enum):
        return lambda key: _ordered(_OTHER, (type(key).__qualname__, key.name))
    hasher = _hasher_of_fields(owner)
    if hasher is not None:
        return hasher
    rule, fields = "", ""
    if owner is not object:
        rule, fields = (
            f" and follows {owner.__qualname__}.__eq__",
            ", such as a tuple of its fields",
        )
    raise TypeError(
        f"{kind.__name__} has no hash that is the same in every process{rule}; group by numbers,"
        f" strings, bytes, dates, or tuples, lists, dicts and sets of these{fields}"
    )


def _hasher_of_library(key: Any, owner: Any) -> Callable[[Any], int] | None:
    """Return the hash for an object of a library, by the class of its ``__eq__``, else None."""
    kind: Any = type(key)
    library = owner.__module__.partition(".")[0]
    if library == "numpy" and is_numpy_scalar(kind):
        return _NUMPY_HASHERS[key.dtype.kind]
    return _LIBRARY_HASHERS.get((library, owner.__name__)) or _LIBRARY_HASHERS.get((library, ""))


def _hasher_of_fields(owner: Any) -> Callable[[Any], int] | None:
    """Return the hash for a class whose ``__eq__`` was made from its fields, else None."""
    namespace = vars(owner)
    code = getattr(namespace["__eq__"], "__code__", None)
    if code is None:
        return None
    if "__attrs_attrs__" in namespace and code.co_filename.startswith("<attrs generated"):
        return _hasher_of_attrs(owner)
    if "__dataclass_params__" in namespace and namespace["__dataclass_params__"].eq:
        return _hasher_of_dataclass(owner, code)
    return None


def _hasher_of_attrs(owner: Any) -> Callable[[Any], int]:
    compared = [(field.name, field.eq_key) for field in owner.__attrs_attrs__ if field.eq]

    def hash_attrs(key: Any) -> int:
        values = [(getattr(key, name), eq_key) for name, eq_key in compared]
        parts = [value if eq_key is None else eq_key(value) for value, eq_key in values]
        return _ordered(_OTHER, [type(key).__qualname__, *parts])

    return hash_attrs


def _hasher_of_dataclass(owner: Any, code: types.CodeType) -> Callable[[Any], int] | None:
    """Return the hash for a dataclass; None if its ``__eq__``, of that code, was not generated."""
    fields = dataclasses.fields(owner)
    likes = [(f.name, object, dataclasses.field(compare=f.compare)) for f in fields]
    made: Any = dataclasses.make_dataclass("Like", likes).__eq__
    if not _is_like(code, made.__code__):
        return None
    names = [field.name for field in fields if field.compare]
    return lambda key: _fields(key, names, type(key))


def _is_like(one: types.CodeType, other: types.CodeType) -> bool:
    return all(getattr(one, x) == getattr(other, x) for x in ("co_code", "co_names", "co_consts"))


_Hasher = Callable[[Any], int]
_SYMPY_NUMBERS = ("Integer", "Rational", "Float", "Infinity", "NegativeInfinity", "NaN")

#: The class that an ``__eq__`` comes from → the hash that follows it.
_HASHERS: dict[Any, _Hasher] = {
    **dict.fromkeys((int, float, complex), _number),
    str: _text,
    bytes: _bytes,
    bytearray: _bytes,
    memoryview: _view,
    range: _range,
    tuple: lambda key: _ordered(_TUPLE, key),
    list: lambda key: _ordered(_LIST, key),
    **dict.fromkeys((dict, OrderedDict, Counter, Mapping), _mapping),
    getattr(builtins, "frozendict", dict): _mapping,  # since Python 3.15
    types.MappingProxyType: lambda key: stable_hash(key.copy()),
    **dict.fromkeys(
        (set, frozenset, AbstractSet, type({}.keys()), type({}.items())),
        lambda key: _unordered(_SET, map(stable_hash, key)),
    ),
}
#: Kind of a NumPy dtype → the hash of such scalars.
_NUMPY_HASHERS: dict[str, _Hasher] = {
    **dict.fromkeys("biufc", _number),
    **dict.fromkeys("mM", _numpy_time),
    "U": _text,
    "S": _bytes,
}
#: Name of a library, and of a class ("" for any) → the hash of such objects.  So d4py need not
#: import the library.
_LIBRARY_HASHERS: dict[tuple[str, str], _Hasher] = {
    ("datetime", "date"): _date,
    ("datetime", "datetime"): _date,
    ("datetime", "time"): _time,
    ("datetime", "timedelta"): _duration,
    ("decimal", "Decimal"): _number,
    ("fractions", "Fraction"): _number,
    ("pathlib", "PurePath"): _path,
    ("uuid", "UUID"): lambda key: _ordered(_OTHER, (key.int,)),
    ("gmpy2", ""): _number,
    ("ipaddress", ""): lambda key: _ordered(_OTHER, ("ip", key.version, str(key))),
    ("pandas", "_Timestamp"): lambda key: _numpy_time(key.to_datetime64()),
    ("pandas", "_Timedelta"): lambda key: _numpy_time(key.to_timedelta64()),
    ("pandas", "_NaT"): lambda key: _mix(_NAN),
    ("pandas", "NAType"): lambda key: _mix(_NAN),
    ("pandas", "Interval"): lambda key: _ordered(_OTHER, (key.closed, key.left, key.right)),
    ("pandas", "_Period"): lambda key: _ordered(_OTHER, (key.freqstr, key.ordinal)),
    ("pydantic", "BaseModel"): _pydantic_model,
    **{("sympy", name): _sympy_number for name in _SYMPY_NUMBERS},
}
_HASHER_OF: dict[type, _Hasher] = {}
