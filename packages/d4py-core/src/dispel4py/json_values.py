"""Dataclasses from JSON, with each value checked against the type of its field.

JSON has no tuples and no classes, and a line that another program has written may hold anything.

>>> from dataclasses import dataclass
>>> @dataclass
... class Point:
...     name: str
...     at: tuple[float, ...]
>>> restore(Point, {"name": "P", "at": [1.5, 2]})
Point(name='P', at=(1.5, 2))
>>> restore(Point, {"name": 1, "at": []})
Traceback (most recent call last):
    ...
ValueError: a Point with name = 1
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from types import UnionType
from typing import Any, Literal, TypeVar, cast, get_args, get_origin, get_type_hints

from dispel4py.errors import shorten

_Data = TypeVar("_Data")


def restore(kind: type[_Data], values: Mapping[str, Any]) -> _Data:
    """Return the dataclass whose fields JSON has made an object of; unknown ones are ignored.

    Args:
        kind: the class; its fields have JSON's types, or are tuples, mappings, literals and
            dataclasses of such.
        values: name of a field → what JSON has made of it.

    Raises:
        ValueError: a field is missing, or has a value of another type.
    """
    types = _field_types(kind)  # type: ignore[arg-type]
    given = {}
    for name in (name for name in types if name in values):
        try:
            given[name] = _restore_value(types[name], values[name])
        except TypeError:
            wrong = f"{name} = {shorten(values[name], 60)}"
            raise ValueError(f"a {kind.__name__} with {wrong}") from None
    missing = [
        one.name
        for one in fields(kind)  # type: ignore[arg-type]
        if one.name not in given and one.default is MISSING and one.default_factory is MISSING
    ]
    if missing:
        raise ValueError(f"a {kind.__name__} without {', '.join(missing)}")
    return kind(**given)


@cache
def _field_types(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)


def _restore_value(declared: Any, value: Any) -> Any:
    """Return a value of a declared type from what JSON makes of it.

    Raises:
        TypeError: it is of another type, or a number that is not finite.
    """
    kind, parts = get_origin(declared), get_args(declared)
    if kind is UnionType:  # X | None
        return None if value is None else _restore_value(parts[0], value)
    if kind is tuple and isinstance(value, list):
        return tuple(_restore_value(parts[0], one) for one in value)
    if kind is Mapping and isinstance(value, dict):
        return {key: _restore_value(parts[1], one) for key, one in value.items()}
    if is_dataclass(declared) and isinstance(value, dict):
        return restore(cast(type[Any], declared), value)
    if declared in (int, float) and type(value) in (int, declared):
        is_right = abs(value) <= sys.float_info.max
    else:
        is_right = value in parts if kind is Literal else type(value) is declared
    if not is_right:
        raise TypeError
    return value
