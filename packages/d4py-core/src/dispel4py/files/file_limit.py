"""Room for open files: workers and connections take more of them than a process may have.

By default that is 256 on macOS and 1024 on most Linux systems, but any process may raise its own
limit up to a hard one, and the processes that it starts have the same.
"""

from __future__ import annotations

import os
import resource

from dispel4py.errors import OptionError

#: What a run has open for each worker process besides connections between them.
FILES_PER_WORKER = 5
#: And whatever else there is: libraries, what PEs open.
_SPARE = 128


def make_room(files: int, users: str) -> None:
    """See that this process may have so many more files open; the limit stays where it is then.

    Args:
        files: how many.
        users: what needs them, for the message, such as ``"60 worker processes"``.

    Raises:
        OptionError: the system does not allow that many.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _open_now() + files + _SPARE
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    except (ValueError, OSError) as error:
        raise OptionError(
            f"{users} take {wanted} open files, and this user may have {hard}:"
            " take fewer processes (-n), or have the limit raised (ulimit -n)"
        ) from error


def _open_now() -> int:
    return len(os.listdir("/dev/fd"))
