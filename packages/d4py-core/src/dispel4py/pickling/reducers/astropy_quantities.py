"""Astropy's quantities, tables and their columns: their data stays out of the pickle.

A unit that a program has defined stays what it is, though Astropy may have another one of its name.

Quantities and columns are subclasses of NumPy's array, which NumPy copies into a pickle.  What else
they have is restored as their own ``__setstate__`` does; that of a table copies the columns, which
here are the table's own.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

_COLUMN_ATTRIBUTES = ("_name", "_unit", "_format", "description", "meta", "indices")


def reducers(units: Any) -> dict[type, Callable[[Any], Any]]:
    """Return the reducers of units, quantities and columns, by type."""
    found: dict[type, Callable[[Any], Any]] = dict.fromkeys(
        _with_same(units.Quantity, "__reduce__", "__setstate__"), _reduce_quantity
    )
    found[units.IrreducibleUnit] = _reduce_unit
    table = sys.modules.get("astropy.table")
    if table is not None:
        found |= {table.Column: _reduce_column, table.MaskedColumn: _reduce_column}
        tables = _with_same(table.Table, "__init__", "__getstate__", "__setstate__")
        found |= dict.fromkeys(tables, _reduce_table)
    return found


def _with_same(base: Any, *methods: str) -> Iterator[Any]:
    """Return a class and those derived from it that have some of its methods unchanged."""
    yield base
    for kind in base.__subclasses__():
        for derived in _with_same(kind, *methods):
            if all(getattr(derived, name) is getattr(base, name) for name in methods):
                yield derived


def _reduce_unit(unit: Any) -> Any:
    """Reduce a unit; Astropy's own pickle comes back as whatever it has under the same name."""
    units = import_module("astropy.units")
    known = units.get_current_unit_registry().registry.get(unit.name)
    if known is None or known is unit:
        return unit.__reduce__()
    return type(unit), (list(unit.names),)


def _reduce_quantity(quantity: Any) -> Any:
    array = quantity.view(import_module("numpy").ndarray)
    attributes = {**vars(quantity)}
    info = attributes.pop("info", None)
    described = {} if info is None else {**info.__getstate__()}
    described.pop("parent_table", None)  # a weak reference, which pickle refuses
    state = attributes, described
    return _view, (array, type(quantity)), state, None, None, _set_attributes


def _set_attributes(quantity: Any, state: tuple[dict[str, Any], dict[str, Any]]) -> None:
    attributes, described = state
    vars(quantity).update(attributes)
    if described:
        quantity.info.__setstate__(described)


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


def _reduce_table(table: Any) -> Any:
    column, quantity = table.Column, import_module("astropy.units").Quantity
    columns = dict(table.columns.items())
    for name, data in columns.items():
        if not isinstance(data, column):
            if data.info.indices:  # a table copies the column to have them
                return table.__reduce_ex__(5)
            if not isinstance(data, quantity):  # its pickle would refer to the table
                columns[name] = import_module("astropy.table.column").col_copy(data)
    return _make_table, (type(table), columns, table.meta)


def _make_table(kind: Any, columns: dict[str, Any], meta: Any) -> Any:
    return kind(columns, meta=meta, copy=False)


def _view(array: Any, kind: type) -> Any:
    return array.view(kind)
