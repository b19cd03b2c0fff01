"""Bytes from objects and back.

Pickle protocol 5 carries nearly everything; what it refuses goes to a fallback that the mapping
brings (dill), so that core needs none.  Unpickling runs code, so a mapping whose bytes cross a
network or a shared server makes sure first that the run itself has made them.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

from dispel4py.errors import D4pyError
from dispel4py.isolation import cannot_carry
from dispel4py.pickling import dumps


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
