"""Directories for Unix sockets, whose paths must be short.

The system limits them to 103 (macOS) or 107 bytes, and batch systems set a TMPDIR that is longer.
"""

from __future__ import annotations

import os
import tempfile
from multiprocessing import util

from dispel4py.errors import OptionError

#: Longest path of a Unix socket, and how much of it is kept for names in such a directory.
_LONGEST_PATH, _NAMES_BYTES = 103, 23
_FALLBACK = "/tmp"


def make_socket_directory(prefix: str) -> str:
    """Create a temporary directory for Unix sockets, which only this user can enter.

    Args:
        prefix: prefix of the directory's name.

    Raises:
        OptionError: there is no folder for it: TMPDIR cannot be used, or its path is too long, and
            /tmp cannot be used.
    """
    place, is_long = "any folder for temporary files", False
    try:
        place, is_long = tempfile.gettempdir(), _is_long(prefix)
        return tempfile.mkdtemp(prefix=prefix, dir=_FALLBACK if is_long else None)
    except OSError as error:
        advice = "; set TMPDIR to a folder that has room"
        if is_long:
            advice = f", and TMPDIR, {place}, is too long for them; set TMPDIR to a shorter path"
        raise OptionError(
            f"cannot create a directory for sockets in {_FALLBACK if is_long else place}"
            f" ({error.strerror}){advice}"
        ) from error


def shorten_multiprocessing_paths() -> None:
    """Have multiprocessing create the directory for its sockets where their paths are short."""
    if not _is_long("pymp-"):
        return
    before, tempfile.tempdir = tempfile.gettempdir(), _FALLBACK
    try:
        util.get_temp_dir()  # which it keeps for this process, and removes at its end
    finally:
        tempfile.tempdir = before


def _is_long(prefix: str) -> bool:
    name = os.path.join(tempfile.gettempdir(), f"{prefix}12345678")
    return len(os.fsencode(name)) > _LONGEST_PATH - _NAMES_BYTES
