"""`file_argument`: the name of a file on the command line."""

from __future__ import annotations

import argparse
import os


def file_argument(text: str) -> str:
    """Return the absolute name of a file; a ``type`` for `argparse.ArgumentParser.add_argument`.

    A workflow may change the current folder when it is imported, and PEs may do so on ``simple``,
    before a mapping opens the file.

    Raises:
        argparse.ArgumentTypeError: the name is empty, as that of a variable that is not set.
    """
    if not text:
        raise argparse.ArgumentTypeError("must be the name of a file, not empty")
    return os.path.abspath(text)
