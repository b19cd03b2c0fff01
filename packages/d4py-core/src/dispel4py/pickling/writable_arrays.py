"""Pickles from which every NumPy array comes back writable.

Pickle preserves the flag of a read-only array, so whether a receiver may change an item would
depend on where its sender got the array from.
"""

from __future__ import annotations

import copyreg
import io
import pickle
import sys
from collections.abc import Callable
from typing import Any


def dumps(value: Any, buffer_callback: Callable[[pickle.PickleBuffer], Any] | None = None) -> bytes:
    """Return the pickle of an object, in which read-only arrays are pickled as writable copies.

    Args:
        value: the object.
        buffer_callback: see `pickle.dumps`.

    Raises:
        Exception: pickle, or a class that is being pickled, has raised.
    """
    table = dispatch_table()
    if table is None:
        return pickle.dumps(value, protocol=5, buffer_callback=buffer_callback)
    data = io.BytesIO()
    pickler = pickle.Pickler(data, protocol=5, buffer_callback=buffer_callback)
    pickler.dispatch_table = table
    pickler.dump(value)
    return data.getvalue()


def dispatch_table() -> dict[type, Callable[[Any], Any]] | None:
    """Return the dispatch table of such a pickler; None while NumPy is not imported."""
    numpy = sys.modules.get("numpy")
    kind = getattr(numpy, "ndarray", None)  # missing while NumPy is being imported
    return None if kind is None else {**copyreg.dispatch_table, kind: _reduce_array}


def _reduce_array(array: Any) -> Any:
    writable = array if array.flags.writeable else array.copy(order="K")
    return writable.__reduce_ex__(5)
