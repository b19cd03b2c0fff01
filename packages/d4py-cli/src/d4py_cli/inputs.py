"""The inputs of a run, from ``-f``, ``-d`` or ``-i``."""

from __future__ import annotations

import argparse
from typing import Any

from dispel4py.engine import inputs


def read_inputs(options: argparse.Namespace) -> int | dict[str, Any]:
    """What the roots are called with: an object from ``-f`` or else ``-d``, or ``-i`` calls.

    An empty object says nothing, so that ``-i`` holds.

    Raises:
        InputError: the file cannot be read, or it is no JSON object.
    """
    given = inputs.read_inputs(options.file, options.data)
    return given or (1 if options.iter is None else options.iter)
