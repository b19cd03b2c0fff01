"""Results as a table in CSV, RFC 4180, in UTF-8.

A missing value is an empty cell, an empty string ``""``; times are ISO text, bytes base64.
"""

from __future__ import annotations

import binascii
import datetime
from collections.abc import Iterable, Iterator
from typing import Any

from d4py_cli.output.columns import Columns

#: What a cell may not hold without quotes; blanks at its ends get lost in some readers.
_SPECIAL = frozenset(',"\r\n')


class CsvTable:
    """The format; see `FileFormat`."""

    name = "a CSV table"

    def __init__(self) -> None:
        self._columns = Columns(has_lists=False)

    def accept(self, pe_id: str, output: str, data: Any) -> Iterable[dict[str, Any]]:
        """Return the rows of a result."""
        return self._columns.rows(pe_id, output, data)

    def write(self, path: str, records: Iterator[tuple[str, str, dict[str, Any]]]) -> None:
        """Write the rows that were accepted."""
        names = [column.name for column in self._columns]
        with open(path, "w", encoding="utf-8", newline="") as file:
            file.write(_line(names))
            for _, _, row in records:
                file.write(_line(row.get(name) for name in names))


def make_format() -> CsvTable:
    """Return the format of a new file."""
    return CsvTable()


def _line(values: Iterable[Any]) -> str:
    return ",".join(map(_cell, values)) + "\r\n"


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return _quoted(value)
    if isinstance(value, bytes):
        return binascii.b2a_base64(value, newline=False).decode()
    if isinstance(value, datetime.date):
        return value.isoformat()
    if isinstance(value, datetime.timedelta):
        return repr(value.total_seconds())
    return repr(value)


def _quoted(text: str) -> str:
    # The module csv writes an empty string and None alike before Python 3.12.
    if text and text == text.strip() and _SPECIAL.isdisjoint(text):
        return text
    return '"' + text.replace('"', '""') + '"'
