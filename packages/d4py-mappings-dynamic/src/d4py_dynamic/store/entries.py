"""The largest size of a store's entries: batches are split, single items are refused.

A batch grows by the number of its items while their sizes are unknown, so it may be too large
although none of its items is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from d4py_dynamic.store.protocols import Results
from d4py_dynamic.store.serialization import dumps
from d4py_dynamic.store.task_pickles import TaskPickle
from d4py_dynamic.store.tasks import CALLS, ITEMS, Task
from dispel4py.errors import ItemError

_MIB = 1 << 20
#: Largest size in bytes of what an entry has around its items.
_AROUND_BYTES = 1 << 12


class TooLargeError(ItemError):
    """An item or state is larger than an entry may be."""


def check_size(size: int, largest: int | None) -> None:
    """Raise an error if a value is larger than the server takes.

    Raises:
        TooLargeError: the message has both sizes and what to do.
    """
    if largest is not None and size > largest:
        raise TooLargeError(
            f"it takes {_in_mib(size)}, and the Redis server takes no more than"
            f" {_in_mib(largest)} at once; split it, hand on the name of a file instead, or raise"
            " the server's proto-max-bulk-len (up to 1gb) and client-query-buffer-limit"
        )


def limited_dumps(largest: int | None) -> Callable[[Any], bytes]:
    """Return a function like `dumps` that refuses an item that is too large."""

    def limited(value: Any) -> bytes:
        data = dumps(value)
        check_size(len(data) + _AROUND_BYTES, largest)
        return data

    return limited


def split_task(
    task: Task, pickle: Callable[[Task], TaskPickle], largest: int | None
) -> Iterator[tuple[Task, TaskPickle]]:
    """Yield a task with its pickle; split a task that is too large for one entry.

    Buffers in shared memory count: which items are refused must not depend on the room there.

    Raises:
        TooLargeError: a single item is too large; see `check_size`.
    """
    pickled = pickle(task)
    if largest is not None and pickled.size > largest and _can_be_split(task):
        half = len(task.payload) // 2
        for payload in (task.payload[:half], task.payload[half:]):
            yield from split_task(task._replace(payload=payload), pickle, largest)
        return
    check_size(pickled.size, largest)
    yield task, pickled


def split_results(
    results: Results, seal: Callable[[Results], bytes], largest: int | None
) -> Iterator[bytes]:
    """Yield the bytes of results; split results that are too large for one entry."""
    data = seal(results)
    if largest is not None and len(data) > largest:
        parts = [
            *(Results([(pe, name, [item])], []) for pe, name, items in results.results
              for item in items),
            *(Results([], [failure]) for failure in results.failures),
        ]  # fmt: skip
        if len(parts) > 1:
            for part in parts:
                yield from split_results(part, seal, largest)
            return
    check_size(len(data), largest)
    yield data


def _can_be_split(task: Task) -> bool:
    is_batch = task.kind in (ITEMS, CALLS) and not isinstance(task.payload, int)
    return is_batch and len(task.payload) > 1


def _in_mib(size: int) -> str:
    return f"{size / _MIB:.0f} MiB" if size >= 10 * _MIB else f"{size / _MIB:.1f} MiB"
