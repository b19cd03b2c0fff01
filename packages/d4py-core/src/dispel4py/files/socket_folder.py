"""Folders for Unix sockets, whose paths have to be short.

The system cuts them off at 103 (macOS) or 107 bytes, and batch systems set a TMPDIR that is longer
than that by itself.
"""

from __future__ import annotations

import os
import tempfile
from multiprocessing import util

from dispel4py.errors import OptionError

#: The longest path of a Unix socket, and how much of it is for the names inside such a folder.
_LONGEST_PATH, _NAMES_BYTES = 103, 23
_INSTEAD = "/tmp"


def make_socket_folder(prefix: str) -> str:
    """Make a temporary folder for Unix sockets, which only this user can enter.

    Args:
        prefix: what its name begins with.

    Raises:
        OptionError: the path of the folder for temporary files is too long, and there is no other.
    """
    try:
        return tempfile.mkdtemp(prefix=prefix, dir=_INSTEAD if _is_long(prefix) else None)
    except OSError as error:
        raise OptionError(
            f"cannot make a folder for sockets in {_INSTEAD} ({error.strerror}), and the path of"
            f" TMPDIR, {tempfile.gettempdir()}, is too long for them; set TMPDIR to a shorter one"
        ) from error


def let_multiprocessing_use_short_paths() -> None:
    """Let it make the folder for its own sockets where their paths are short enough."""
    if not _is_long("pymp-"):
        return
    before, tempfile.tempdir = tempfile.gettempdir(), _INSTEAD
    try:
        util.get_temp_dir()  # which it keeps for this process, and removes at its end
    finally:
        tempfile.tempdir = before


def _is_long(prefix: str) -> bool:
    name = os.path.join(tempfile.gettempdir(), f"{prefix}12345678")
    return len(os.fsencode(name)) > _LONGEST_PATH - _NAMES_BYTES
