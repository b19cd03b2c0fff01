"""Results as an archive of NumPy, with an array per field: ``PE.output`` or ``PE.output.field``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from d4py_cli.output.array_names import ArrayNames
from d4py_cli.output.arrays import Arrays


class NumpyArchive:
    """The format; see `FileFormat`."""

    name = "an archive of NumPy"

    def __init__(self) -> None:
        self._arrays = Arrays("biufcUSMm", "choose .pkl", ArrayNames(_name))

    def accept(self, pe_id: str, output: str, data: Any) -> Iterable[dict[str, Any]]:
        """Return the arrays of a result."""
        return [self._arrays.accept(pe_id, output, data)]

    def write(self, path: str, records: Iterator[tuple[str, str, dict[str, Any]]]) -> None:
        """Write the arrays of all results that were accepted."""
        named = dict(self._arrays.stacked(records))
        with open(path, "wb") as file:  # with a name, savez would add an ending
            np.savez(file, allow_pickle=False, **named)


def _name(*names: str) -> str:
    """Return the name of the array of a PE, output and field."""
    return ".".join(filter(None, names))


def make_format() -> NumpyArchive:
    """Return the format of a new file."""
    return NumpyArchive()
