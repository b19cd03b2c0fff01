"""Bytes from objects and back.

Pickle protocol 5 carries nearly everything; what it refuses goes to a fallback that the mapping
brings (dill), so that core needs none.  Unpickling runs code, so a mapping whose bytes cross a
network or a shared server makes sure first that the run itself has made them.
"""

from __future__ import annotations

import pickle
import sys
from collections.abc import Callable, Collection, Sequence
from itertools import islice
from typing import Any

from dispel4py.errors import D4pyError
from dispel4py.isolation import cannot_carry
from dispel4py.pickling import dumps

#: How many items of a batch, and parts of an item, are looked at to judge their size.
_LOOKED_AT = 4


def about_bytes(items: Sequence[Any]) -> int:
    """About how many bytes a batch takes, judged from a few of its items."""
    if not items:
        return 0
    few = items[:: len(items) // _LOOKED_AT or 1]
    return sum(map(_size, few)) * len(items) // len(few)


def _size(value: Any, depth: int = 2) -> int:
    if type(value) in (int, float, bool):
        return 32
    try:
        nbytes = getattr(value, "nbytes", None)
        if isinstance(nbytes, int):
            return nbytes
        size = sys.getsizeof(value)
        parts: Collection[Any] = ()
        if isinstance(value, dict):
            parts = value.values()
        elif isinstance(value, list | tuple | set | frozenset):
            parts = value
        elif hasattr(value, "__dict__"):
            parts = vars(value).values()
    except Exception:  # a user's class may answer anything
        return 64
    if parts and depth:
        few = [_size(part, depth - 1) for part in islice(parts, _LOOKED_AT)]
        size += sum(few) * len(parts) // len(few)
    return size


class ForeignBytesError(D4pyError):
    """Bytes that nobody with the run's secret has made; they were not unpickled."""


class Codec:
    """Pickles, with a fallback for what pickle refuses.

    Args:
        fallback: as `pickle.dumps`; what it makes must be readable by `pickle.loads`.
    """

    def __init__(self, fallback: Callable[[Any], bytes] | None = None) -> None:
        self._fallback = fallback

    def dumps(
        self, value: Any, beside: Callable[[pickle.PickleBuffer], bool] | None = None
    ) -> bytes:
        """Bytes of an object.

        Args:
            value: the object.
            beside: `buffer_callback` of `pickle.dumps`: takes large buffers out of the bytes.

        Raises:
            ItemError: neither pickle nor the fallback takes it; the message names the part that is
                to blame.
        """
        try:
            return dumps(value, beside)
        except Exception as error:  # a user's __reduce__ may raise anything
            if self._fallback is not None:
                try:
                    return self._fallback(value)
                except Exception as last_error:
                    raise cannot_carry(value, last_error) from error
            raise cannot_carry(value, error) from error

    def loads(self, data: bytes) -> Any:
        """The object; only for bytes that are known to be our own."""
        return pickle.loads(data)
