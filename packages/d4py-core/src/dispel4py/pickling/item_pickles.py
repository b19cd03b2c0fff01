"""Pickles of items: every NumPy array comes back writable, and large data stays out of the bytes.

Pickle preserves the flag of a read-only array, so whether a receiver may change an item would
depend on where its sender got the array from.  And many libraries copy their data into the pickle,
some of them several times; `dispel4py.pickling.reducers` has a better way for those.
"""

from __future__ import annotations

import copyreg
import io
import pickle
import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any

#: Returns how to make an object again, as ``__reduce_ex__`` does.
Reducer = Callable[[Any], Any]

#: A dispatch table, with what it was made from: the number of modules, and `copyreg`'s own table.
_Table = tuple[int, dict[type, Reducer], dict[type, Reducer] | None]

#: Library → the module of `dispel4py.pickling.reducers` for its types.
_FAMILIES = {
    "numpy": "numpy_arrays",
    "numpy.ma": "masked_arrays",
    "astropy.units": "astropy_quantities",
    "pyarrow": "arrow_tables",
    "polars": "polars_frames",
    "torch": "torch_tensors",
    "vtkmodules.vtkCommonDataModel": "vtk_images",
}
#: Of those, the ones that call what a program has registered for a type, and add to it.
_ADDING_FAMILIES = ("vtk_images",)


def dumps(value: Any, buffer_callback: Callable[[pickle.PickleBuffer], Any] | None = None) -> bytes:
    """Return the pickle of an object, in which read-only arrays are pickled as writable copies.

    Args:
        value: the object.
        buffer_callback: see `pickle.dumps`.

    Raises:
        Exception: pickle, or a class that is being pickled, has raised.
    """
    table = _cache.table()
    if table is None:
        return pickle.dumps(value, protocol=5, buffer_callback=buffer_callback)
    data = io.BytesIO()
    pickler = pickle.Pickler(data, protocol=5, buffer_callback=buffer_callback)
    pickler.dispatch_table = table
    pickler.dump(value)
    return data.getvalue()


def dispatch_table() -> dict[type, Reducer] | None:
    """Return the dispatch table of such a pickler; None while no such library is imported.

    What a program has registered by `copyreg.pickle` has precedence, except for plain arrays, and
    is added to for images of VTK.
    """
    return _cache.table()


class _Cache:
    """The dispatch table, made anew once modules were imported, or reducers registered."""

    def __init__(self) -> None:
        self._latest: _Table = -1, {}, None  # replaced as a whole: threads share it

    def table(self) -> dict[type, Reducer] | None:
        modules, registered, table = self._latest
        if modules != len(sys.modules) or registered != copyreg.dispatch_table:
            self._latest = _make_table()
            table = self._latest[2]
        return table


def _make_table() -> _Table:
    """Return the table of the libraries that are imported now."""
    registered = {**copyreg.dispatch_table}
    found: dict[type, Reducer] = {}
    adding: dict[type, Reducer] = {}
    is_final = True
    for name, family in _FAMILIES.items():
        library = sys.modules.get(name)
        if library is None:
            continue
        try:
            own = import_module(f"dispel4py.pickling.reducers.{family}").reducers(library)
        except AttributeError:
            # Another thread is importing the library, or this version of it lacks a type.
            is_final = is_final and not getattr(library.__spec__, "_initializing", False)
            continue
        found |= own
        if family in _ADDING_FAMILIES:
            adding |= own
    array = getattr(sys.modules.get("numpy"), "ndarray", None)
    arrays = {array: found[array]} if array in found else {}
    modules = len(sys.modules) if is_final else -1
    return modules, registered, {**found, **registered, **arrays, **adding} if found else None


_cache = _Cache()
