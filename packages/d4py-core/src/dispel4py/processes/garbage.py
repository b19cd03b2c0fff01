"""Keeps Python's garbage collector from what a process has imported.

Libraries of science make 100,000 objects when they are imported.  While PEs make many objects, the
collector would look at all of those again and again, and copy the memory that is shared with the
parent of a fork.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager

from dispel4py.files.unwritten_files import note_open_files

#: Pids of those of this process and its parents that have exempted what they inherited.
_heirs: set[int] = set()


def exempt_inherited() -> None:
    """Exempt what a forked worker shares with its parent, for good.

    The parent finalizes its own garbage, which would be finalized again here.
    """
    gc.freeze()
    _heirs.add(os.getpid())


@contextmanager
def imported_exempt() -> Iterator[None]:
    """Return a context in which no garbage is looked for among the objects that there are now.

    It is for workers, and for the command.  It is not for ranks of MPI, which end as programs do:
    cycles of the workflow were not taken apart then.  What was made in the context is taken apart
    at its end.

    Nothing looks at the objects: counting them would refer to each for a moment, and so copy all of
    that memory.
    """
    note_open_files()
    gc.freeze()
    try:
        yield
    finally:
        gc.collect()
        note_open_files(always=True)
        if os.getpid() not in _heirs:
            gc.unfreeze()
