"""Tasks as bytes, with their large buffers in a heap that the workers of this machine share.

What a store keeps of such a task is its pickle and where its buffers are.  The blocks are freed
when the lease of the task has ended; if its worker is lost before that, the next one finds them as
they were.
"""

from __future__ import annotations

import pickle
from collections.abc import Hashable, Iterable
from typing import Any, NamedTuple

from d4py_dynamic.store.serialization import CODEC, dumps, loads_named
from d4py_dynamic.store.shared_heap import Block, SharedHeap
from d4py_dynamic.store.tasks import Task
from dispel4py.shared_memory.arena_file import ArenaFile


class TaskPickle(NamedTuple):
    """A task, pickled.

    Attributes:
        data: the pickle.
        buffers: the large buffers of its items, which are not in `data`.
    """

    data: bytes
    buffers: list[memoryview]

    @property
    def size(self) -> int:
        """Size in bytes of all of it."""
        return len(self.data) + self.buffer_bytes

    @property
    def buffer_bytes(self) -> int:
        """Size in bytes of the buffers."""
        return sum(buffer.nbytes for buffer in self.buffers)


class _Shared(NamedTuple):
    """What a store keeps of a task: its pickle, and its buffers, or where in the heap they are."""

    data: bytes
    buffers: list[Block | bytes]


def codec_with(heap: ArenaFile | None) -> TaskCodec:
    """Return the codec of a process that may have the file of a heap."""
    return TaskCodec(None if heap is None else SharedHeap(heap))


class TaskCodec:
    """Pickles tasks, and unpickles those that a process takes from the store.

    Args:
        heap: for large buffers; None if a task may be given to a process of another machine.
    """

    def __init__(self, heap: SharedHeap | None = None) -> None:
        self._heap = heap
        self._blocks: dict[Hashable, list[Block]] = {}

    def pickle(self, task: Task) -> TaskPickle:
        """Return the pickle of a task; its buffers are still those of the items.

        Raises:
            ItemError: it cannot be pickled; the message names the item that cannot.
        """
        if self._heap is None:
            return TaskPickle(dumps(task), [])
        least, buffers = self._heap.least_bytes, list[memoryview]()

        def keep_in_pickle(buffer: pickle.PickleBuffer) -> bool:
            raw = buffer.raw()
            if raw.nbytes < least:
                return True
            buffers.append(raw)
            return False

        return TaskPickle(dumps(task, keep_in_pickle), buffers)

    def pack(self, pickled: TaskPickle) -> bytes:
        """Return what a store keeps of a task, and copy its buffers to the heap, if it has room."""
        data, buffers = pickled
        if not buffers or self._heap is None:
            return data
        packed = [self._heap.put(buffer) or bytes(buffer) for buffer in buffers]
        return CODEC.dumps(_Shared(data, packed))

    def unpack(self, data: bytes, token: Hashable = None) -> Task:
        """Return a task from what a store has kept, with buffers of its own.

        Args:
            data: see `pack`.
            token: the token of its lease; None if this process does not end it.

        Raises:
            UnreadableItemError: an item cannot be unpickled in this process.
        """
        found: Task | _Shared = loads_named(data)
        if not isinstance(found, _Shared):
            return found
        heap = self._heap
        assert heap is not None
        if token is not None:
            self._blocks[token] = [block for block in found.buffers if isinstance(block, Block)]
        buffers: list[Any] = [
            heap.copy(buffer) if isinstance(buffer, Block) else bytearray(buffer)
            for buffer in found.buffers
        ]
        task: Task = loads_named(found.data, buffers)
        return task

    def shared_bytes(self, token: Hashable) -> int:
        """Return the size in bytes of the blocks of a leased task."""
        return sum(block.size for block in self._blocks.get(token, ()))

    def end(self, tokens: Iterable[Hashable]) -> None:
        """Free the blocks of tasks whose leases have ended."""
        blocks = [block for token in tokens for block in self._blocks.pop(token, ())]
        if blocks and self._heap is not None:
            self._heap.free(blocks)
