"""The inputs of a run, from ``-f``, ``-d`` or ``-i``."""

from __future__ import annotations

import argparse
from typing import Any

from dispel4py.engine import inputs


def read_inputs(options: argparse.Namespace) -> int | dict[str, Any]:
    """Return the inputs of the roots: the object of ``-f`` or ``-d``, or the number of ``-i``.

    An empty object counts as none.

    Raises:
        InputError: The file cannot be read, or does not hold a JSON object.
    """
    given = inputs.read_inputs(options.file, options.data)
    return given or (1 if options.iter is None else options.iter)
