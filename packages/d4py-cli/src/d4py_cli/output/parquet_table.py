"""Results as a table in Apache Parquet, by pyarrow.

The type of each column is known when all rows are, so that none is guessed from the first ones.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from typing import Any

import pyarrow
import pyarrow.parquet

from d4py_cli.output.columns import Column, Columns

#: Rows that are written together.
_ROWS = 10_000


class ParquetTable:
    """The format; see `FileFormat`."""

    name = "a Parquet table"

    def __init__(self) -> None:
        self._columns = Columns(has_lists=True)

    def accept(self, pe_id: str, output: str, data: Any) -> Iterable[dict[str, Any]]:
        """Return the rows of a result."""
        return self._columns.rows(pe_id, output, data)

    def write(self, path: str, records: Iterator[tuple[str, str, dict[str, Any]]]) -> None:
        """Write the rows that were accepted."""
        schema = pyarrow.schema([(column.name, _type_of(column)) for column in self._columns])
        with pyarrow.parquet.ParquetWriter(path, schema) as writer:
            while rows := [row for _, _, row in itertools.islice(records, _ROWS)]:
                arrays = [
                    pyarrow.array([row.get(field.name) for row in rows], type=field.type)
                    for field in schema
                ]
                writer.write_table(pyarrow.Table.from_arrays(arrays, schema=schema))


def make_format() -> ParquetTable:
    """Return the format of a new file."""
    return ParquetTable()


def _type_of(column: Column) -> Any:
    if column.kind == "list":
        assert column.elements is not None
        return pyarrow.list_(_type_of(column.elements))
    if column.kind == "int":
        return pyarrow.uint64() if column.high >= 2**63 else pyarrow.int64()
    if column.kind == "zoned":
        return pyarrow.timestamp("us", tz=column.zone)
    return _TYPES[column.kind]


_TYPES = {
    "": pyarrow.null(),
    "bool": pyarrow.bool_(),
    "float": pyarrow.float64(),
    "str": pyarrow.string(),
    "bytes": pyarrow.binary(),
    "date": pyarrow.date32(),
    "naive": pyarrow.timestamp("us"),
    "duration": pyarrow.duration("us"),
}
