"""The limit on open files, which many workers and connections exceed.

By default it is 256 on macOS and 1024 on most Linux systems.  A process may raise its limit up to
the hard limit, and the processes that it starts inherit it.
"""

from __future__ import annotations

import os
import resource

from dispel4py.errors import OptionError

#: Open files of a run for each worker process, beside the connections between workers.
FILES_PER_WORKER = 5
#: Open files for all else: libraries, and what PEs open.
_SPARE = 128


def raise_file_limit(files: int, users: str) -> None:
    """Raise the limit on open files of this process, if it is too low for more files.

    Args:
        files: how many more files will be open.
        users: what opens them, for the message, such as ``"60 worker processes"``.

    Raises:
        OptionError: the system does not allow as many.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _open_now() + files + _SPARE
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    except (ValueError, OSError) as error:
        raise OptionError(
            f"{users} need {wanted} open files, and the hard limit is {hard}; use fewer"
            " processes (-n), or raise the limit (ulimit -Hn)"
        ) from error


def _open_now() -> int:
    return len(os.listdir("/dev/fd"))
