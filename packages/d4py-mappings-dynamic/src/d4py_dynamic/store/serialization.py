"""Tasks, results and plans as bytes: by pickle, or by dill for what pickle refuses."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterable
from itertools import chain
from operator import is_
from typing import Any

from d4py_dynamic.store.protocols import Results
from d4py_dynamic.store.tasks import ANY, CALLS, ITEMS, ResumePoint, Task
from dispel4py.engine.codec import loads_items
from dispel4py.engine.inputs import Batch, CallRange
from dispel4py.engine.plan_bundle import WorkerCodec
from dispel4py.errors import ItemError

CODEC = WorkerCodec("dill")


def dumps(
    value: Any, buffer_callback: Callable[[pickle.PickleBuffer], bool] | None = None
) -> bytes:
    """Return the bytes of a task, of results or of any other object.

    Args:
        value: the object.
        buffer_callback: see `pickle.dumps`; not called for what pickle refuses.

    Raises:
        ItemError: it cannot be pickled; the message names the item that cannot.
    """
    try:
        if isinstance(value, Task) and value.kind == CALLS and isinstance(value.payload, list):
            return CODEC.dumps_calls(value, value.payload)
        return CODEC.dumps(value, buffer_callback)
    except ItemError:
        for item in _items_of(value):
            CODEC.dumps(item)  # raises for the item that cannot be pickled
        raise


def position_of_rest(task: Task, pe: int, input_name: str, items: Batch) -> ResumePoint:
    """Return the position of a task of which only these items are left, which wait for a PE."""
    if isinstance(items, CallRange):
        start = items.first - task.payload.first
        return ResumePoint(start, end=start + len(items))
    if pe != task.pe:
        return ResumePoint(replacement=dumps(Task(ITEMS, pe, ANY, input_name, items)))
    size = len(items)
    # Compare by identity: equality of items is defined by their class and may have changed.
    start = next(
        start
        for start in range(len(task.payload) - size, -1, -1)
        if all(map(is_, items, task.payload[start : start + size]))
    )
    return ResumePoint(start, end=start + size)


def remaining(task: Task, position: ResumePoint) -> Task:
    """Return the rest of a task from a position; see `ResumePoint`."""
    if position.replacement is not None:
        task = loads_items(position.replacement)
    return task if position.end is None else task._replace(payload=task.payload[: position.end])


def _items_of(value: Any) -> Iterable[Any]:
    if isinstance(value, Task) and isinstance(value.payload, list):
        return value.payload
    if isinstance(value, Results):
        return chain.from_iterable(items for _, _, items in value.results)
    return ()
