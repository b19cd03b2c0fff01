"""Directories for Unix sockets, whose paths must be short.

The system limits them to 103 (macOS) or 107 bytes, and batch systems set a TMPDIR that is longer.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import weakref
from multiprocessing import util
from pathlib import Path
from types import TracebackType

from dispel4py.errors import OptionError
from dispel4py.stop_signals import stop_signals_blocked

#: Longest path of a Unix socket, and how much of it is kept for names in such a directory.
_LONGEST_PATH, _NAMES_BYTES = 103, 23
_FALLBACK = "/tmp"
#: Number of random bytes in the name of a directory: no other user can have made it, or make it.
_RANDOM_BYTES = 8


class SocketDirectory:
    """A temporary directory for Unix sockets, which only this user can enter.

    It is removed with this object, so that Ctrl-C leaves none, whenever it comes; forked processes
    leave it alone.

    Args:
        prefix: prefix of the directory's name.

    Attributes:
        path: where it is.

    Raises:
        OptionError: there is no folder for it: TMPDIR cannot be used, or its path is too long, and
            /tmp cannot be used.
    """

    def __init__(self, prefix: str) -> None:
        place, is_long = "any folder for temporary files", False
        self._maker = os.getpid()
        try:
            place, is_long = temporary_folder(), _is_long(prefix, 2 * _RANDOM_BYTES)
            folder = _FALLBACK if is_long else place
            self.path = Path(folder, prefix + os.urandom(_RANDOM_BYTES).hex())
            # First: an interrupt that comes while it is made is raised when it is there.
            self._finalizer = weakref.finalize(self, _remove, self.path, self._maker)
            os.mkdir(self.path, 0o700)
        except OSError as error:
            advice = "; set TMPDIR to a folder that has room"
            if is_long:
                advice = (
                    f", and TMPDIR, {place}, is too long for them; set TMPDIR to a shorter path"
                )
            raise OptionError(
                f"cannot create a directory for sockets in {_FALLBACK if is_long else place}"
                f" ({error.strerror}){advice}"
            ) from error

    def remove(self) -> None:
        """Remove the directory with all that is in it, if this process has made it."""
        _remove(self.path, self._maker)
        self._finalizer.detach()  # last: an interrupt leaves what remains to the finalizer

    def __enter__(self) -> Path:
        return self.path

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.remove()


def temporary_folder() -> str:
    """Return the folder for temporary files, as `tempfile.gettempdir` does.

    When that is called first it creates a file, to see whether it can, and a stop signal right
    after that would leave the file.

    Raises:
        OSError: there is none.
    """
    with stop_signals_blocked():
        return tempfile.gettempdir()


def shorten_multiprocessing_paths() -> None:
    """Have multiprocessing create the directory for its sockets where their paths are short."""
    if not _is_long("pymp-", 8):
        return
    before = temporary_folder()
    with stop_signals_blocked():
        tempfile.tempdir = _FALLBACK
        try:
            util.get_temp_dir()  # which it keeps for this process, and removes at its end
        finally:
            tempfile.tempdir = before


def _is_long(prefix: str, more: int) -> bool:
    """Return whether a path in TMPDIR is too long, of a prefix and as many more characters."""
    name = os.path.join(temporary_folder(), prefix + more * "x")
    return len(os.fsencode(name)) > _LONGEST_PATH - _NAMES_BYTES


def _remove(path: Path, maker: int) -> None:
    if os.getpid() == maker:
        shutil.rmtree(path, ignore_errors=True)
