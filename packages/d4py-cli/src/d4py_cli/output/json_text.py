"""JSON for results: exact, or refused with the place of what JSON has no form for.

Tuples, sets and arrays become lists, dates ISO text, bytes base64, paths text, and dataclasses and
mappings objects.  NaN and infinities, tables, and objects of other classes are refused.
"""

from __future__ import annotations

import binascii
import dataclasses
import json
import math
from collections.abc import Mapping
from typing import Any, NoReturn

from d4py_cli.output.refusals import ANYTHING, TOO_DEEP, NotHeldError, below, name_of_type
from d4py_cli.output.scalars import is_missing, is_plain_array, is_time, plain_scalar

#: Containers may be nested so deep.
_MAX_DEPTH = 200

#: Numbers of fewer bits always have text, whatever the limit of Python is set to.
_FEW_BITS = 2000

_SEVERAL = f"{ANYTHING}, or write numbers, strings, lists and dicts instead"


def as_json(value: Any) -> str:
    """Return JSON for a result, on one line.

    Raises:
        NotHeldError: JSON has no form for something in it.
    """
    try:
        return _encode(value)
    except (TypeError, ValueError, RecursionError):
        # Types and keys that JSON lacks are rare, so they are only now looked for.
        return _encode(_plain(value, "", 0))


def _refuse(value: Any) -> NoReturn:
    raise TypeError


_encode = json.JSONEncoder(default=_refuse, allow_nan=False, ensure_ascii=False).encode


def _plain(value: Any, field: str, depth: int) -> Any:
    if depth > _MAX_DEPTH:
        raise NotHeldError(field, TOO_DEEP)
    if isinstance(value, Mapping):
        return {_key(key, field): _plain(value[key], below(field, key), depth + 1) for key in value}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = [entry.name for entry in dataclasses.fields(value)]
        return {name: _plain(getattr(value, name), below(field, name), depth + 1) for name in names}
    if isinstance(value, set | frozenset):
        value = sorted(value, key=repr)
    elif is_plain_array(value):
        value = _plain_array(value)
    if isinstance(value, list | tuple):
        return [_plain(entry, below(field, i), depth + 1) for i, entry in enumerate(value)]
    return _plain_scalar(value, field)


def _plain_array(array: Any) -> Any:
    if array.dtype.kind == "M":
        return array.astype(str).tolist()
    # Some durations would become numbers without a unit.
    return [*array] if array.dtype.kind == "m" and array.ndim else array.tolist()


def _plain_scalar(value: Any, field: str) -> Any:
    if is_missing(value):
        return None
    value = plain_scalar(value, field)
    if type(value) is int:
        _check_digits(value, field)
    if type(value) is float and not math.isfinite(value):
        raise NotHeldError(field, f"the float {value}", "choose .csv, .parquet, .npz or .pkl")
    if value is None or type(value) in (str, bool, int, float):
        return value
    if isinstance(value, bytes | bytearray | memoryview):
        return binascii.b2a_base64(value, newline=False).decode()
    if is_time(value):
        return value.isoformat()
    raise NotHeldError(field, name_of_type(value), _SEVERAL)


def _key(key: Any, field: str) -> str:
    if isinstance(key, str):
        return key
    key = plain_scalar(key, field)
    if type(key) is int:
        _check_digits(key, field)
        return str(key)
    raise NotHeldError(field, f"the key {key!r} of type {name_of_type(key)}")


def _check_digits(value: int, field: str) -> None:
    """Refuse a number with more digits than Python makes text of."""
    if value.bit_length() < _FEW_BITS:
        return
    try:
        str(value)
    except ValueError as error:
        raise NotHeldError(field, f"an int of {value.bit_length():,} bits", ANYTHING) from error
