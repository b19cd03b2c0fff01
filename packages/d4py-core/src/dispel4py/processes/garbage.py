"""Keeps Python's garbage collector from what a worker process has imported.

Libraries of science make 100,000 objects when they are imported.  While PEs make many objects, the
collector would look at all of those again and again, and copy the memory that is shared with the
parent of a fork.
"""

from __future__ import annotations

import gc
from functools import cache


@cache
def exempt_imported() -> None:
    """Exempt all objects that there are now from garbage collection, once in a process.

    It is called in a worker process, when a workflow was loaded and none of its instances was made.
    """
    gc.freeze()
