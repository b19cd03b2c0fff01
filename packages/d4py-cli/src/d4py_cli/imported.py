"""Keeps Python's garbage collector from what this process has imported.

Imports make tens of thousands of objects, and none of them is garbage while the process lives.  So
there is no collection while they are made, none later looks at them, and they are not taken apart
one by one at the end.  The objects of a workflow and of its libraries, if they are many, are left
alone during the run: PEs that make many objects have Python look for garbage again and again.
"""

from __future__ import annotations

import gc
from contextlib import AbstractContextManager, nullcontext
from types import SimpleNamespace

#: Whether collection is paused, and whether it ever was: `main` may be called from Python.
_collection = SimpleNamespace(is_paused=False, is_ours=False)


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


def workflow_exempt() -> AbstractContextManager[None]:
    """Return a context that keeps the collector from what a workflow has imported.

    Without an earlier pause nothing is done.
    """
    # Late: this module is imported first of all, before Ctrl-C is handled.
    from dispel4py.processes.garbage import imported_exempt

    return imported_exempt() if _collection.is_ours else nullcontext()
