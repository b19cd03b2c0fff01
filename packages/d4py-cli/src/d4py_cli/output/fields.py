"""The fields of a result: entries of mappings, dataclasses and named tuples, also nested ones."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from d4py_cli.output.refusals import TOO_DEEP, NotHeldError, below, name_of_type
from d4py_cli.output.scalars import check_text

#: Fields may be nested so deep.
_MAX_DEPTH = 50

#: Returns the names and values of the fields of a value, given its place; None if it has none.
FieldsOf = Callable[[Any, str], Iterable[tuple[Any, Any]] | None]


def named_fields(value: Any, field: str) -> Iterable[tuple[str, Any]] | None:
    """Return the fields of a mapping, a dataclass or a named tuple; None for other values.

    Args:
        value: the value.
        field: where it is within the result.

    Raises:
        NotHeldError: a mapping has a key that is no text, or none that a file can hold.
    """
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                raise NotHeldError(field, f"the key {key!r} of type {name_of_type(key)}")
            check_text(key, field)
        return value.items()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return [(entry.name, getattr(value, entry.name)) for entry in dataclasses.fields(value)]
    if isinstance(value, tuple) and (names := getattr(value, "_fields", ())):
        return zip(names, value, strict=True)
    return None


def leaves(
    value: Any, fields_of: FieldsOf, field: str = "", depth: int = 0
) -> Iterator[tuple[str, Any]]:
    """Yield the place and the value of everything within a result that has no fields itself.

    Raises:
        NotHeldError: fields are nested too deep.
    """
    if depth > _MAX_DEPTH:
        raise NotHeldError(field, TOO_DEEP)
    fields = fields_of(value, field)
    if fields is None:
        yield field, value
        return
    for name, entry in fields:
        yield from leaves(entry, fields_of, below(field, name), depth + 1)
