"""Astropy's quantities, and columns of tables: their data stays out of the pickle.

They are subclasses of NumPy's array, which NumPy copies into a pickle.  What else they have is
restored as their own ``__setstate__`` does.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

_COLUMN_ATTRIBUTES = ("_name", "_unit", "_format", "description", "meta", "indices")


def reducers(units: Any) -> dict[type, Callable[[Any], Any]]:
    """Return the reducers of quantities and columns, by type."""
    quantity = units.Quantity
    found: dict[type, Callable[[Any], Any]] = dict.fromkeys(
        (quantity, *_as_pickled(quantity)), _reduce_quantity
    )
    table = sys.modules.get("astropy.table")
    if table is not None:
        found |= {table.Column: _reduce_column, table.MaskedColumn: _reduce_column}
    return found


def _as_pickled(quantity: Any) -> Iterator[Any]:
    """Return the subclasses that are pickled like their base."""
    for kind in quantity.__subclasses__():
        if (kind.__reduce__, kind.__setstate__) == (quantity.__reduce__, quantity.__setstate__):
            yield kind
        yield from _as_pickled(kind)


def _reduce_quantity(quantity: Any) -> Any:
    array = quantity.view(import_module("numpy").ndarray)
    return _view, (array, type(quantity)), vars(quantity), None, None, _set_attributes


def _set_attributes(quantity: Any, attributes: dict[str, Any]) -> None:
    vars(quantity).update(attributes)


def _reduce_column(column: Any) -> Any:
    numpy = import_module("numpy")
    array = column.view(numpy.ndarray)
    if isinstance(column, numpy.ma.MaskedArray):
        array = numpy.ma.MaskedArray(array, column.mask, fill_value=column._fill_value)
    state = [getattr(column, name) for name in _COLUMN_ATTRIBUTES]
    return _view, (array, type(column)), state, None, None, _set_column


def _set_column(column: Any, state: list[Any]) -> None:
    for name, value in zip(_COLUMN_ATTRIBUTES, state, strict=True):
        setattr(column, name, value)
    column._parent_table = None


def _view(array: Any, kind: type) -> Any:
    return array.view(kind)
