"""Configures the C library to keep freed memory for the next large array.

By default glibc returns freed blocks of a megabyte to the kernel at once, and every new block costs
a page fault per 4 KiB: several times the cost of copying it.
"""

from __future__ import annotations

import ctypes

# malloc.h; the largest threshold that glibc accepts on 64-bit machines is 32 MiB.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_TRIM_BYTES, _MMAP_BYTES = 64 << 20, 32 << 20


def keep_freed_memory() -> bool:
    """Keep up to 64 MiB of freed memory in this process; return whether that is supported."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # not glibc
        return False
    return bool(mallopt(_M_MMAP_THRESHOLD, _MMAP_BYTES) and mallopt(_M_TRIM_THRESHOLD, _TRIM_BYTES))
