"""A lock for files that one run writes at a time."""

from __future__ import annotations

import errno
import fcntl
import os
from typing import IO, Any

from dispel4py.errors import OptionError

#: A file system without locks.
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EINVAL)


def is_locked(file: IO[Any]) -> bool:
    """Return whether a run is writing to an open file."""
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        return False
    fcntl.flock(file, fcntl.LOCK_UN)
    return False


def is_named(file: IO[Any], name: str) -> bool:
    """Return whether a name still leads to an open file; a run that had its lock may remove it."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), os.stat(name))
    except FileNotFoundError:
        return False


def lock_for_writing(file: IO[Any], target: str, option: str) -> None:
    """Lock a file until it is closed, and close it if that is not possible.

    Args:
        file: the open file.
        target: the file's name for a message.
        option: the option that named it.

    Raises:
        OptionError: another run is writing to it.
    """
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        file.close()
        raise OptionError(
            f"cannot write {target} ({option}): another run is writing to it; choose another name,"
            " or wait until that run has ended"
        ) from error
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
