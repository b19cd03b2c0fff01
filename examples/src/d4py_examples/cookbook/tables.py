"""Rows of tables, from files and into files.

A reader sends a dict for each row.  A writer takes lists of such dicts, as `CountWindows` sends
them, and makes a file of each.  The name of a file follows from the id of the list: where a worker
is lost and a list is written again, it replaces the same file, so no row is there twice.
"""

import csv
import os
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from dispel4py import IterativePE

Row = dict[str, Any]


class ReadCSV(IterativePE):
    """Sends the rows of a CSV file whose path it gets.

    Args:
        types: column → function that converts its text, such as ``{"depth": float}``; others stay
            text.
    """

    def __init__(self, types: Mapping[str, Callable[[str], Any]] | None = None) -> None:
        super().__init__()
        self.types = dict(types or {})

    def _process(self, path: str) -> None:
        with open(path, newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                for column, convert in self.types.items():
                    row[column] = convert(row[column])
                self.write("output", row)


class ReadParquet(IterativePE):
    """Sends the rows of a Parquet file whose path it gets, reading some at a time.

    Args:
        columns: the columns to read; None for all.
        rows_at_once: how many rows are in memory.
    """

    def __init__(self, columns: list[str] | None = None, rows_at_once: int = 10_000) -> None:
        super().__init__()
        self.columns = columns
        self.rows_at_once = rows_at_once

    def _process(self, path: str) -> None:
        from pyarrow.parquet import ParquetFile

        with ParquetFile(path) as file:
            for batch in file.iter_batches(self.rows_at_once, columns=self.columns):
                for row in batch.to_pylist():
                    self.write("output", row)


class _WriteParts(IterativePE):
    """Writes each list of rows to a file of its own, and sends the path.

    Args:
        folder: where the files go, one folder for each run; it is created.
    """

    item_ids = True
    suffix: str

    def __init__(self, folder: str | Path) -> None:
        super().__init__()
        self.folder = Path(folder)

    def preprocess(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)

    def _process(self, rows: list[Row]) -> str:
        path = self.folder / f"part-{self.item_id}{self.suffix}"
        unfinished = path.with_suffix(f".{uuid.uuid4().hex}")
        self._write_rows(rows, unfinished)
        os.replace(unfinished, path)  # so a file is complete or not there
        return str(path)

    def _write_rows(self, rows: list[Row], path: Path) -> None:
        raise NotImplementedError


class WriteCSV(_WriteParts):
    """Writes each list of rows to a CSV file of its own, and sends the path.

    The columns are those of the first row.

    Args:
        folder: where the files go, one folder for each run; it is created.
    """

    suffix = ".csv"

    def _write_rows(self, rows: list[Row], path: Path) -> None:
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, fieldnames=list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)


class WriteParquet(_WriteParts):
    """Writes each list of rows to a Parquet file of its own, and sends the path.

    The folder can be read as one table, by `pandas.read_parquet` for instance.

    Args:
        folder: where the files go, one folder for each run; it is created.
    """

    suffix = ".parquet"

    def _write_rows(self, rows: list[Row], path: Path) -> None:
        from pyarrow import Table
        from pyarrow.parquet import write_table

        write_table(Table.from_pylist(rows), path)
