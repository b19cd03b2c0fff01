"""Tasks, results and plans as bytes: by pickle, or by dill for what pickle refuses."""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable, Iterable
from itertools import chain, repeat
from operator import is_
from typing import Any

from d4py_dynamic.store.protocols import Results
from d4py_dynamic.store.tasks import ANY, CALLS, ITEMS, ResumePoint, Task
from dispel4py.engine.inputs import Batch, CallRange
from dispel4py.engine.items.codec import loads_items
from dispel4py.engine.planning.plan_bundle import WorkerCodec
from dispel4py.errors import ItemError

CODEC = WorkerCodec("dill")


class UnreadableItemError(ItemError):
    """An item cannot be unpickled in this process.

    Args:
        message: what has happened.
        holder: what holds the item, a `Task` or `Results`, with stand-ins for all items; None if
            it cannot be read either.
    """

    def __init__(self, message: str, holder: Task | Results | None) -> None:
        super().__init__(message)
        self.holder = holder


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


def loads_named(data: Any, buffers: Iterable[Any] = ()) -> Any:
    """Return a task, results or another object; only for bytes that this run has made.

    Args:
        data: its pickle.
        buffers: see `pickle.loads`.

    Raises:
        UnreadableItemError: an item cannot be unpickled in this process.
    """
    try:
        return loads_items(data, buffers)
    except ItemError as error:
        raise UnreadableItemError(str(error), _without_items(data)) from error.__cause__


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


def _without_items(data: Any) -> Task | Results | None:
    """Return a task or results with stand-ins for the items; None if even that raises."""
    try:
        found = _HolderUnpickler(io.BytesIO(data), buffers=repeat(b"")).load()
    except Exception:
        return None
    return found if isinstance(found, Task | Results) else None


class _HolderUnpickler(pickle.Unpickler):
    """Makes a stand-in wherever a pickle has a class or a function, but for tasks and results."""

    def find_class(self, module: str, name: str) -> Any:
        """See `pickle.Unpickler`."""
        for holder in (Task, Results):
            if (module, name) == (holder.__module__, holder.__qualname__):
                return holder
        return _StandIn


class _StandIn:
    """Takes all that a pickle does with an object."""

    def __new__(cls, *args: Any, **options: Any) -> _StandIn:
        return super().__new__(cls)

    def __init__(self, *args: Any, **options: Any) -> None:
        pass

    def __call__(self, *args: Any, **options: Any) -> _StandIn:
        return self

    __setitem__ = append = extend = add = update = __setstate__ = __call__
