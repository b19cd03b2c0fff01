"""Keeps Python's garbage collector from what this process has imported.

Imports make tens of thousands of objects, and none of them is garbage while the process lives.  So
there is no collection while they are made, none later looks at them, and they are not taken apart
one by one at the end.  The objects of a workflow and of its libraries, if they are many, are left
alone during the run: PEs that make many objects have Python look for garbage again and again.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace

#: Whether collection is paused, and whether it ever was: `main` may be called from Python.
_collection = SimpleNamespace(is_paused=False, is_ours=False)
#: Fewer objects of a workflow are not worth it: after the run all are taken apart, ours too.
_MANY = 20_000


def pause_collection() -> None:
    """Pause garbage collection, at the start of the process, until `resume_collection`."""
    if gc.isenabled():
        gc.disable()
        _collection.is_paused = _collection.is_ours = True


def resume_collection() -> None:
    """Resume garbage collection, for what is made from now on.

    It is called before the first code of a user runs: their objects can be garbage, and can hold
    files that are written when they are taken apart.  Without a pause nothing is done.
    """
    if _collection.is_paused:
        _collection.is_paused = False
        gc.freeze()
        gc.enable()


@contextmanager
def workflow_exempt() -> Iterator[None]:
    """Return a context in which no garbage is looked for among the objects that there are now.

    Without an earlier pause, or with few of them, nothing is done.
    """
    if not _collection.is_ours or len(gc.get_objects()) < _MANY:
        yield
        return
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
