"""The choice of a format for ``--output``, by the ending of the file's name.

`open_output` is all that the rest of the command needs.  A format is imported when it is used, so
that the libraries of the others need not be installed, and a run without ``--output`` imports none.
"""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING

from dispel4py.errors import OptionError

if TYPE_CHECKING:
    from d4py_cli.output.collected import CollectedOutput, FileFormat
    from d4py_cli.output.json_lines import JsonLines

#: Endings of files that are written at once, line by line; other files without an ending are, too.
_LINES = ("", ".json", ".jsonl", ".ndjson", ".txt")

#: Ending → module with the format, and the pip line of the library that it needs.
_COLLECTED = {
    ".csv": ("csv_table", ""),
    ".h5": ("hdf5_file", "d4py-cli[hdf5]"),
    ".hdf5": ("hdf5_file", "d4py-cli[hdf5]"),
    ".npz": ("numpy_archive", "numpy"),
    ".parquet": ("parquet_table", "d4py-cli[parquet]"),
    ".pkl": ("pickle_file", ""),
}

#: All endings, for the help text.
ENDINGS = ", ".join(sorted([".jsonl", *_COLLECTED]))


def open_output(target: str) -> JsonLines | CollectedOutput:
    """Return what writes results to a file.

    Args:
        target: name of a file; ``-`` is standard output.

    Raises:
        OptionError: the ending is not known, a library is missing, or the file cannot be written.
    """
    ending = "" if target == "-" else os.path.splitext(target)[1].lower()
    if ending in _LINES:
        from d4py_cli.output.json_lines import JsonLines

        return JsonLines(target)
    if ending not in _COLLECTED:
        raise OptionError(
            f"--output {target}: the ending {ending} is not known; it must be one of {ENDINGS}"
        )
    from d4py_cli.output.collected import CollectedOutput

    return CollectedOutput(target, _load(target, *_COLLECTED[ending]))


def _load(target: str, module: str, requirement: str) -> FileFormat:
    try:
        found = importlib.import_module(f"d4py_cli.output.{module}")
    except ImportError as error:
        if not requirement:
            raise
        raise OptionError(
            f"--output {target} needs {error.name}, which is not installed: run"
            f" pip install '{requirement}'"
        ) from error
    made: FileFormat = found.make_format()
    return made
