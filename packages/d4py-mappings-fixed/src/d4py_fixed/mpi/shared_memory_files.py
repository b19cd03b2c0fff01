"""The files by which MPI ranks of one machine share memory.

They lose their names once every rank has them open, so that nothing stays when ranks are killed.
"""

from __future__ import annotations

import os
from contextlib import suppress

_FOLDER = "/dev/shm/"
#: What the names begin with that Open MPI and MPICH give; Intel MPI removes its own.  Files of
#: other names are the program's, made by another thread of it while MPI starts.
_PREFIXES = ("sm_segment.", "vader_segment.", "mpich_shm_")


def mapped_files() -> set[str]:
    """Return the files of MPI that this process has mapped, where the system shows them."""
    try:
        with open("/proc/self/maps", encoding="utf-8", errors="replace") as maps:
            paths = {line.rstrip("\n").split(maxsplit=5)[-1] for line in maps}
    except OSError:
        return set()
    return {path for path in paths if path.startswith(tuple(_FOLDER + name for name in _PREFIXES))}


def unlink(paths: set[str]) -> None:
    """Remove names; those that others have removed are no error."""
    for path in paths:
        with suppress(OSError):
            os.unlink(path)
