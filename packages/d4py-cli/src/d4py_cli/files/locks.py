"""A lock for files that one run writes at a time."""

from __future__ import annotations

import errno
import fcntl
import os
import random
from contextlib import suppress
from time import monotonic, sleep
from typing import IO, Any

from dispel4py.errors import OptionError

#: A file system without locks.
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EINVAL)
#: For how long a run waits for others that only look whether the file is locked.
_LOOKING_SECONDS = 1.0
_AGAIN_SECONDS = 0.002


class OpenFolder:
    """A folder that is open, so that it can be locked.

    Args:
        path: the folder.

    Raises:
        OSError: it cannot be opened.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._descriptor: int | None = os.open(path, os.O_RDONLY | os.O_DIRECTORY)

    def fileno(self) -> int:
        """Return the descriptor."""
        if self._descriptor is None:
            raise ValueError("the folder is closed")
        return self._descriptor

    def close(self) -> None:
        """Close it, and end its lock; it may be closed already."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def is_locked(file: IO[Any]) -> bool:
    """Return whether a run is writing to an open file."""
    if not _set_lock(file, fcntl.LOCK_SH):
        return True
    with suppress(OSError):  # a file system without locks
        fcntl.flock(file, fcntl.LOCK_UN)
    return False


def is_named(file: IO[Any], name: str) -> bool:
    """Return whether a name still leads to an open file; a run that had its lock may remove it."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), os.stat(name))
    except FileNotFoundError:
        return False


def lock_for_writing(file: IO[Any] | OpenFolder, target: str, option: str) -> None:
    """Lock a file until it is closed, and close it if that is not possible.

    Args:
        file: the open file, or folder.
        target: the file's name for a message.
        option: the option that named it.

    Raises:
        OptionError: another run is writing to it.
    """
    give_up_at = monotonic() + _LOOKING_SECONDS
    while not (is_mine := _set_lock(file, fcntl.LOCK_EX)):
        # `is_locked`, in another process, has a lock for a moment; that of a run is exclusive.
        if monotonic() > give_up_at or not _set_lock(file, fcntl.LOCK_SH):
            break
        fcntl.flock(file, fcntl.LOCK_UN)
        sleep(random.uniform(0, _AGAIN_SECONDS))  # another run may be here, too
    if not is_mine:
        file.close()
        raise OptionError(
            f"cannot write {target} ({option}): another run is writing to it; choose another name,"
            " or wait until that run has ended"
        )


def _set_lock(file: IO[Any] | OpenFolder, kind: int) -> bool:
    """Set a lock; return False if another open file has one that excludes it."""
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
    return True
