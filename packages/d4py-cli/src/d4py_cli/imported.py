"""Keeps Python's garbage collector from what this process has imported.

Imports make tens of thousands of objects, and none of them is garbage while the process lives.  So
there is no collection while they are made, none later looks at them, and they are not taken apart
one by one at the end.
"""

from __future__ import annotations

import gc
from types import SimpleNamespace

_collection = SimpleNamespace(is_paused=False)


def pause_collection() -> None:
    """Pause garbage collection, at the start of the process, until `resume_collection`."""
    if gc.isenabled():
        gc.disable()
        _collection.is_paused = True


def resume_collection() -> None:
    """Resume garbage collection, for what is made from now on.

    It is called before the first code of a user runs: their objects can be garbage, and can hold
    files that are written when they are taken apart.  Without a pause nothing is done.
    """
    if _collection.is_paused:
        _collection.is_paused = False
        gc.freeze()
        gc.enable()
