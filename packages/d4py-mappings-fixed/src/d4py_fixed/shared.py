"""Large buffers through shared memory: a `Transport` around another one of the same machine.

The sender copies a large part into its arena and sends where it lies; the receiver copies it out
and sends word that the block is free.  What finds no room goes the ordinary way.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from functools import partial
from time import monotonic

from d4py_fixed.arena import Arena, ArenaFile
from d4py_fixed.transport import Parts, Transport

#: Parts of at least so many bytes go through shared memory.
_LARGE_BYTES = 1 << 15
_PLACE = struct.Struct("!QQ")
_FRAME, _RELEASE = b"F", b"R"


class SharedBuffers:
    """See `Transport`.

    Args:
        inner: carries the rest.
        files: the arena of each rank; the driver has none and sends everything by `inner`.
        rank: number of this rank.
    """

    def __init__(self, inner: Transport, files: list[ArenaFile], rank: int) -> None:
        self._inner = inner
        self._files = files
        self._arena = Arena(files[rank]) if rank < len(files) else None
        self._memory_of: dict[int, memoryview] = {}

    def send(self, rank: int, parts: Parts) -> None:
        # In front: per part, its offset and size in the arena, or a size of 0 for "it follows".
        places, carried = bytearray(_FRAME), []
        for part in parts:
            view = memoryview(part)
            offset = None
            if view.nbytes >= _LARGE_BYTES and self._arena is not None:
                offset = self._arena.put(view)
            if offset is None:
                places += _PLACE.pack(0, 0)
                carried.append(part)
            else:
                places += _PLACE.pack(offset, view.nbytes)
        self._inner.send(rank, [places, *carried])

    def receive(self, seconds: float) -> tuple[int, Parts] | None:
        until = monotonic() + seconds
        while True:
            arrived = self._inner.receive(max(0.0, until - monotonic()) if seconds else 0.0)
            if arrived is None:
                return None
            rank, (places, *carried) = arrived
            if places[:1] != _RELEASE:
                return rank, self._collect(rank, places, carried)
            self._release(places)

    def close(self) -> None:
        self._inner.close()

    def _collect(self, rank: int, places: bytes | bytearray | memoryview, carried: Parts) -> Parts:
        rest = iter(carried)
        parts: list[bytes | bytearray | memoryview] = []
        used = bytearray(_RELEASE)
        for offset, size in _PLACE.iter_unpack(places[1:]):
            if size:
                parts.append(bytearray(self._memory(rank)[offset : offset + size]))
                used += _PLACE.pack(offset, size)
            else:
                parts.append(next(rest))
        if len(used) > 1:
            self._inner.send(rank, [used])
        return parts

    def _release(self, places: bytes | bytearray | memoryview) -> None:
        assert self._arena is not None
        for offset, _ in _PLACE.iter_unpack(places[1:]):
            self._arena.release(offset)

    def _memory(self, rank: int) -> memoryview:
        if rank not in self._memory_of:
            self._memory_of[rank] = memoryview(self._files[rank].map())
        return self._memory_of[rank]


def shared_recipe(
    recipe: Callable[[], Transport], files: list[ArenaFile], rank: int
) -> Callable[[], Transport]:
    """A recipe for `SharedBuffers` around what another recipe makes; picklable as that one is."""
    return partial(_share, recipe, files, rank)


def _share(recipe: Callable[[], Transport], files: list[ArenaFile], rank: int) -> Transport:
    return SharedBuffers(recipe(), files, rank)
