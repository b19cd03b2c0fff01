"""Arrow's tables and arrays: a slice is pickled without the rest of the buffers that it is in."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

#: Buffers that are not so many times as large as what is used of them are pickled as they are.
_MOST_UNUSED = 2


def reducers(pyarrow: Any) -> dict[type, Callable[[Any], Any]]:
    """Return the reducers of tables and arrays, by type."""
    kinds = {pyarrow.Table, pyarrow.RecordBatch, pyarrow.ChunkedArray, *_subclasses(pyarrow.Array)}
    return dict.fromkeys(kinds, _reduce)


def _subclasses(kind: Any) -> Iterator[Any]:
    for inner in kind.__subclasses__():
        yield inner
        yield from _subclasses(inner)


def _reduce(data: Any) -> Any:
    if data.get_total_buffer_size() > _MOST_UNUSED * data.nbytes:
        data = _compact(data)
    return data.__reduce_ex__(5)


def _compact(data: Any) -> Any:
    """Return a copy of a table or an array with buffers of its own."""
    arrow = import_module("pyarrow")
    if isinstance(data, arrow.Array):
        return arrow.concat_arrays([data, data.slice(0, 0)])
    if isinstance(data, arrow.ChunkedArray):
        return arrow.chunked_array(map(_compact, data.chunks), data.type)
    return type(data).from_arrays([*map(_compact, data.columns)], schema=data.schema)
