"""Results in HDF5, by h5py: a group per PE and output, a data set per field, or ``data``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import h5py

from d4py_cli.output.arrays import Arrays
from d4py_cli.output.refusals import NotHeldError


class Hdf5File:
    """The format; see `FileFormat`."""

    name = "HDF5"

    def __init__(self) -> None:
        self._arrays = Arrays("biufcUS", "choose .npz or .parquet, or write times as text")

    def accept(self, pe_id: str, output: str, data: Any) -> Iterable[dict[str, Any]]:
        """Return the arrays of a result."""
        values = self._arrays.accept(pe_id, output, data)
        _check_places(values)
        return [values]

    def write(self, path: str, records: Iterator[tuple[str, str, dict[str, Any]]]) -> None:
        """Write the arrays of all results that were accepted."""
        with h5py.File(path, "w") as file:
            for pe_id, output, field, array in self._arrays.stacked(records):
                name = f"{pe_id}/{output}/{_place(field)}"
                is_text = array.dtype.kind == "U"
                file.create_dataset(
                    name,
                    data=array.astype(object) if is_text else array,
                    dtype=h5py.string_dtype() if is_text else None,
                )


def _place(field: str) -> str:
    """Return the name of a field in the group of its output: a group for each level."""
    levels = field.split(".")
    return "/".join(levels) if all(levels) else field or "data"  # "No." is a name as it is


def _check_places(fields: Iterable[str]) -> None:
    """Refuse two fields of one place, and one that would be an array and a group of others.

    Raises:
        NotHeldError: there are such fields.
    """
    taken: dict[str, str] = {}
    groups: set[str] = set()
    for field in fields:
        place = _place(field)
        if place in taken:
            raise NotHeldError(field, "a second field of this name", "rename the field")
        taken[place] = field
        levels = place.split("/")
        groups |= {"/".join(levels[:depth]) for depth in range(1, len(levels))}
    for place in groups & taken.keys():
        raise NotHeldError(
            taken[place], "a field that others lie in", "rename it, or choose .npz or .parquet"
        )


def make_format() -> Hdf5File:
    """Return the format of a new file."""
    return Hdf5File()
