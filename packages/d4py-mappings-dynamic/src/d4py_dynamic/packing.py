"""Tasks, results and plans as bytes: pickle, and dill for what pickle refuses."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from contextlib import suppress
from io import BytesIO
from itertools import chain
from operator import attrgetter
from typing import Any

import dill

from d4py_dynamic.store import Results
from d4py_dynamic.tasks import Task
from dispel4py.codec import Codec
from dispel4py.errors import ItemError
from dispel4py.processes import main_is_shared


class _Pickler(dill.Pickler):  # type: ignore[misc]
    """Takes along what a function refers to, but not the classes of a main program that is shared.

    If it did, an item would be no instance of the class that its receiver knows.
    """

    def reducer_override(self, obj: Any) -> Any:
        if isinstance(obj, type) and obj.__module__ == "__main__" and main_is_shared():
            with suppress(AttributeError):  # a class inside a function cannot be found by name
                if attrgetter(obj.__qualname__)(sys.modules["__main__"]) is obj:
                    return obj.__qualname__
        return NotImplemented


def _dill_dumps(value: Any) -> bytes:
    data = BytesIO()
    _Pickler(data, protocol=5, recurse=True).dump(value)
    return data.getvalue()


CODEC = Codec(fallback=_dill_dumps)


def dumps(value: Any) -> bytes:
    """Bytes of a task, of results or of anything else.

    Raises:
        ItemError: it cannot be pickled; the message is about the item that is to blame.
    """
    try:
        return CODEC.dumps(value)
    except ItemError:
        for item in _items_of(value):
            CODEC.dumps(item)  # raises for the one that is to blame
        raise


def _items_of(value: Any) -> Iterable[Any]:
    if isinstance(value, Task) and isinstance(value.load, list):
        return value.load
    if isinstance(value, Results):
        return chain.from_iterable(items for _, _, items in value.results)
    return ()
