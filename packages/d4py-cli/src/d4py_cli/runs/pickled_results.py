"""Results of a run in a pickle: ``{pe: {output: [data, …]}}``, as ``--output FILE.pkl`` has."""

from __future__ import annotations

import logging
import pickle
from contextlib import suppress
from pathlib import Path

from d4py_cli.files.lines import naming
from dispel4py.result import RunResult

_LOGGER = logging.getLogger("dispel4py.cli")


def write_results(path: Path, result: RunResult) -> bool:
    """Write the results of a run, and return whether they could be pickled; a warning says why not.

    Raises:
        OSError: the file cannot be written.
    """
    try:
        data = pickle.dumps(result.outputs, protocol=5)
    except Exception as error:  # an object of the user may raise anything
        _LOGGER.warning(
            "%s is not written: results cannot be pickled (%s: %s); choose --output",
            path,
            type(error).__name__,
            error,
        )
        return False
    try:
        with naming(path):
            path.write_bytes(data)
    except OSError:
        with suppress(OSError):
            path.unlink()  # a part of it is of no use
        raise
    return True
