"""NumPy arrays: they come back writable; dates, slices and mapped files stay out of the pickle.

NumPy takes an array out of its pickle by the buffer protocol, which has no dates, and copies arrays
of its subclasses, and those whose elements are not side by side, into the pickle.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any


def reducers(numpy: Any) -> dict[type, Callable[[Any], Any]]:
    """Return the reducers of arrays, by type."""
    return {
        numpy.ndarray: reduce_array,
        numpy.memmap: reduce_view,
        numpy.matrix: reduce_view,
        numpy.recarray: reduce_view,
    }


def reduce_array(array: Any) -> Any:
    """Reduce a plain array: to its bytes as numbers, if it holds dates."""
    if not (array.flags.writeable and array.flags.forc):
        array = array.copy(order="K")
    dtype = array.dtype
    if _has_times(dtype) and not dtype.hasobject:
        plain = "i8" if dtype.names is None else f"V{dtype.itemsize}"
        return _view, (array.view(plain), dtype)
    return array.__reduce_ex__(5)


def reduce_view(array: Any) -> Any:
    """Reduce an array of a subclass that has nothing but the data."""
    return _view, (array.view(import_module("numpy").ndarray), type(array))


def _has_times(dtype: Any) -> bool:
    if dtype.names is None:
        return dtype.kind in "mM"
    return any(_has_times(dtype[name].base) for name in dtype.names)


def _view(array: Any, kind: Any) -> Any:
    return array.view(kind)
