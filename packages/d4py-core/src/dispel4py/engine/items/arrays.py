"""What makes an object a NumPy array whose bytes are all of it; NumPy is not imported for that."""

from __future__ import annotations

from typing import Any

#: The type of NumPy arrays, once there was one.
_ARRAYS: set[type] = set()


def is_array(data: Any) -> bool:
    """Return whether an object is a plain NumPy array that holds data, not objects."""
    kind = type(data)
    if kind not in _ARRAYS:
        if kind.__name__ != "ndarray" or kind.__module__ != "numpy":
            return False
        _ARRAYS.add(kind)
    return not data.dtype.hasobject


def has_fields(array: Any) -> bool:
    """Return whether an array has fields: their names belong to its dtype, which others may share.

    They can be changed, as by ``array.dtype.names = …``.
    """
    return array.dtype.names is not None
