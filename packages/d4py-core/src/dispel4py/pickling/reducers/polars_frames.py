"""Polars' frames and series: as Arrow's, whose buffers stay out of the pickle.

Where pyarrow is missing, or has no such type, as a file of Arrow's format in memory.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable
from importlib import import_module
from typing import Any

#: Buffers that are not so many times as large as what is used of them are pickled as they are.
_MOST_UNUSED = 2


def reducers(polars: Any) -> dict[type, Callable[[Any], Any]]:
    """Return the reducers of frames and series, by type."""
    return {polars.DataFrame: _reduce_frame, polars.Series: _reduce_series}


def _reduce_frame(frame: Any) -> Any:
    table = _as_arrow(frame)
    if table is not None:
        return import_module("polars").from_arrow, (table,)
    file = io.BytesIO()
    try:
        frame.write_ipc(file, compression="uncompressed")
    except Exception:  # of polars' own hierarchy: there is no such format for Python's objects
        return frame.__reduce_ex__(5)
    return _read_frame, (pickle.PickleBuffer(file.getvalue()),)


def _reduce_series(series: Any) -> Any:
    return _only_column, (series.to_frame(),)


def _as_arrow(frame: Any) -> Any:
    """Return a frame as Arrow's table over the same memory.

    Returns:
        None if that would not be the same frame, or would have more memory than the frame's own
        part of it.
    """
    polars = import_module("polars")
    try:
        table = frame.to_arrow(compat_level=polars.CompatLevel.newest())
        is_same = polars.from_arrow(table).schema == frame.schema
    except Exception:  # pyarrow is missing, or has no such type; it raises its own exceptions
        return None
    is_whole = table.get_total_buffer_size() <= _MOST_UNUSED * frame.estimated_size()
    return table if is_same and is_whole and frame.width else None


def _read_frame(data: Any) -> Any:
    return import_module("polars").read_ipc(bytes(data))


def _only_column(frame: Any) -> Any:
    return frame.to_series()
