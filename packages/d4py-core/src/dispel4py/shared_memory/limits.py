"""Sizes of the memory that processes share."""

from __future__ import annotations

from typing import NamedTuple


class SharedMemoryLimits(NamedTuple):
    """Bounds of an arena.

    Attributes:
        arena_bytes: Size of an arena; memory is allocated only as far as it is used.
        step_bytes: Memory that is allocated at a time.
        most_borrowed_bytes: Memory of one arena that a receiver may borrow; what arrives beyond it
            is copied, so that a receiver that keeps its items leaves room for others.
        chunk_bytes: What a heap that several processes allocate from is divided into; smaller
            buffers are not put there.
    """

    arena_bytes: int = 128 << 20
    step_bytes: int = 8 << 20
    most_borrowed_bytes: int = 16 << 20
    chunk_bytes: int = 32 << 10
