"""Results in HDF5, by h5py: a group per PE and output, a data set per field, or ``data``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import h5py

from d4py_cli.output.array_names import ArrayNames
from d4py_cli.output.arrays import Arrays


class Hdf5File:
    """The format; see `FileFormat`."""

    name = "HDF5"

    def __init__(self) -> None:
        names = ArrayNames(_name, has_groups=True)
        self._arrays = Arrays("biufcUS", "choose .npz or .parquet, or write times as text", names)

    def accept(self, pe_id: str, output: str, data: Any) -> Iterable[dict[str, Any]]:
        """Return the arrays of a result."""
        return [self._arrays.accept(pe_id, output, data)]

    def write(self, path: str, records: Iterator[tuple[str, str, dict[str, Any]]]) -> None:
        """Write the arrays of all results that were accepted."""
        with h5py.File(path, "w") as file:
            for name, array in self._arrays.stacked(records):
                is_text = array.dtype.kind == "U"
                file.create_dataset(
                    name,
                    data=array.astype(object) if is_text else array,
                    dtype=h5py.string_dtype() if is_text else None,
                )


def _name(pe_id: str, output: str, field: str) -> str:
    """Return the name of the array of a PE, output and field: a group for each level."""
    levels = field.split(".")
    place = "/".join(levels) if all(levels) else field or "data"  # "No." is a name as it is
    return f"{pe_id}/{output}/{place}"


def make_format() -> Hdf5File:
    """Return the format of a new file."""
    return Hdf5File()
