"""Rows and columns of the table formats, CSV and Parquet.

A result is a row, a data frame several.  Mappings and dataclasses, also nested ones, tuples and, if
the format has no lists, lists make a column of each entry (``trace.station``); anything else is in
the column ``data``.  The type of a column is that of its first value; one that does not fit is
refused when it comes.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator
from typing import Any

from d4py_cli.output.fields import leaves, named_fields
from d4py_cli.output.refusals import NotHeldError, name_of_type
from d4py_cli.output.scalars import check_text, is_missing, is_plain_array, plain_scalar

#: The columns that each row has.
PE_COLUMN, OUTPUT_COLUMN = "pe", "output"

#: A result that has no entries of its own.
DATA_COLUMN = "data"

#: The largest whole number up to which a float holds each.
_EXACT_IN_FLOAT = 2**53

_KEEP_APART = "choose .jsonl or .pkl, or write values of one type"


class Column:
    """What is known of the values of a column, or of the elements of its lists.

    Args:
        name: its name.

    Attributes:
        kind: their type: ``bool``, ``int``, ``float``, ``str``, ``bytes``, ``date``, ``naive`` or
            ``zoned`` (times), ``duration``, ``list``; "" as long as all are missing.
        elements: what is known of the elements of its lists.
        zone: name or offset of the time zone.
        low: the smallest of the whole numbers.
        high: the largest of them.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.kind = ""
        self.elements: Column | None = None
        self.zone = ""
        self.low = self.high = 0

    def add(self, value: Any) -> Any:
        """Take a value, and return it as one of a built-in type.

        Raises:
            NotHeldError: it has no form in a table, or does not fit those before.
        """
        if is_missing(value):
            return None
        if isinstance(value, list | tuple) or (is_plain_array(value) and value.ndim):
            self._become("list", value)
            if self.elements is None:
                self.elements = Column(self.name)
            return [self.elements.add(entry) for entry in value]
        value = plain_scalar(value, self.name)
        if value is None:
            return None
        self._become(self._kind_of(value), value)
        return value

    def _kind_of(self, value: Any) -> str:
        if isinstance(value, datetime.datetime):
            return self._kind_of_time(value)
        kind = _KINDS.get(type(value))
        if kind is None:
            raise NotHeldError(self.name, name_of_type(value))
        if kind == "int":
            self._widen(value)
        elif kind == "str":
            check_text(value, self.name)
        return kind

    def _kind_of_time(self, value: datetime.datetime) -> str:
        if value.tzinfo is None:
            return "naive"
        zone = getattr(value.tzinfo, "key", None) or _offset(value)
        if self.zone not in ("", zone):
            raise NotHeldError(
                self.name,
                f"a time of the zone {zone} after one of {self.zone}",
                "write all times in one zone, such as UTC",
            )
        self.zone = zone
        return "zoned"

    def _widen(self, value: int) -> None:
        low, high = min(self.low, value), max(self.high, value)
        if low < -(2**63) or high >= 2 ** (63 if low < 0 else 64):
            raise NotHeldError(self.name, f"an int of more than 64 bits ({value})")
        self.low, self.high = low, high

    def _become(self, kind: str, value: Any) -> None:
        before = self.kind
        if {before, kind} == {"int", "float"}:
            if max(-self.low, self.high) > _EXACT_IN_FLOAT:
                raise NotHeldError(
                    self.name, "a float and an int beyond 2**53, which is none", _KEEP_APART
                )
            kind = "float"
        elif before not in ("", kind):
            raise NotHeldError(
                self.name,
                f"{_WORDS.get(kind, kind)} after {_WORDS.get(before, before)}",
                _KEEP_APART,
            )
        self.kind = kind


_KINDS: dict[type, str] = {
    bool: "bool",
    int: "int",
    float: "float",
    str: "str",
    bytes: "bytes",
    datetime.date: "date",
    datetime.timedelta: "duration",
}

_WORDS = {"naive": "datetime without a zone", "zoned": "datetime with a zone"}


def _offset(value: datetime.datetime) -> str:
    """Return the offset of a time from UTC, such as ``+02:00``; ``UTC`` without any."""
    offset = value.strftime("%z")
    return f"{offset[:3]}:{offset[3:]}" if value.utcoffset() else "UTC"


class Columns:
    """The columns of a table, in the order in which they first came.

    Args:
        has_lists: the format has cells that hold lists.
    """

    def __init__(self, *, has_lists: bool) -> None:
        self._has_lists = has_lists
        self._columns: dict[str, Column] = {}
        for name in (PE_COLUMN, OUTPUT_COLUMN):
            self._columns[name] = Column(name)
            self._columns[name].kind = "str"

    def __iter__(self) -> Iterator[Column]:
        return iter(self._columns.values())

    def rows(self, pe_id: str, output: str, data: Any) -> Iterator[dict[str, Any]]:
        """Yield the rows of a result.

        Raises:
            NotHeldError: it does not fit.
        """
        for record in _records(data):
            row: dict[str, Any] = {PE_COLUMN: pe_id, OUTPUT_COLUMN: output}
            for field, value in leaves(record, self._fields):
                name = field or DATA_COLUMN
                if name in row:
                    raise NotHeldError(name, "a second column of this name", "rename the field")
                row[name] = self._column(name).add(value)
            yield row

    def _column(self, name: str) -> Column:
        column = self._columns.get(name)
        if column is None:
            column = self._columns[name] = Column(name)
        return column

    def _fields(self, value: Any, field: str) -> Iterable[tuple[Any, Any]] | None:
        """Return what makes a column each; None for the value of one column."""
        fields = named_fields(value, field)
        if fields is None and isinstance(value, tuple if self._has_lists else tuple | list):
            return enumerate(value)
        if is_plain_array(value) and not self._has_lists and value.ndim:
            raise NotHeldError(
                field, f"an array of {value.size} elements", "choose .parquet, .npz or .h5"
            )
        return fields


def _records(data: Any) -> Iterator[Any]:
    """Yield the rows of a data frame of pandas, polars or pyarrow, and anything else as it is."""
    kind = type(data)
    library, name = kind.__module__.partition(".")[0], kind.__name__
    if (library, name) == ("pandas", "DataFrame"):
        yield from _rows_of_pandas(data)
    elif (library, name) == ("polars", "DataFrame"):
        yield from data.iter_rows(named=True)
    elif library == "pyarrow" and name in ("Table", "RecordBatch"):
        _check_columns(data.schema.names)
        yield from data.to_pylist()
    else:
        yield data


def _rows_of_pandas(frame: Any) -> Any:
    has_index = any(name is not None for name in frame.index.names) or not _counts(frame.index)
    if has_index:
        _check_columns([*(name for name in frame.index.names if name is not None), *frame.columns])
        frame = frame.reset_index()
    _check_columns(frame.columns)
    return frame.to_dict("records")


def _check_columns(names: Iterable[Any]) -> None:
    """Refuse a data frame with columns of one name, of which only one would be written.

    Raises:
        NotHeldError: it has such columns.
    """
    seen = set()
    for name in names:
        if name in seen:
            raise NotHeldError(str(name), "a second column of this name", "rename the column")
        seen.add(name)


def _counts(index: Any) -> bool:
    """Return whether an index of pandas only counts the rows."""
    return type(index).__name__ == "RangeIndex"
