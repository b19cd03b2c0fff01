"""Encryption of what a run stores on a Redis server.

Only processes that have the run's key can read a value or make one that the run accepts, so bytes
of any other writer are never unpickled.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from d4py_dynamic.store.redis.keys import FIELD
from d4py_dynamic.store.serialization import CODEC, dumps, loads_named
from dispel4py.engine.items.codec import ForeignBytesError

#: Length of the nonce that AES-GCM recommends.
_NONCE_BYTES = 12
#: Bytes that sealing adds: the nonce and the cipher's tag.
_SEAL_BYTES = _NONCE_BYTES + 16


def room_for(largest: int | None) -> int | None:
    """Return the largest size of what is sealed, for a largest size of values."""
    return None if largest is None else largest - _SEAL_BYTES


class Envelope:
    """Seals objects for the server: encrypts and authenticates them.

    AES-GCM (NIST SP 800-38D) with a key of the run's own and a random nonce for each object.

    Args:
        secret: 32 bytes that only this run's processes know.
    """

    def __init__(self, secret: bytes) -> None:
        self._cipher = AESGCM(secret)

    def wrap(self, value: Any, place: str) -> bytes:
        """Return an object, pickled and sealed for a place, such as a stream.

        Raises:
            ItemError: the object cannot be pickled.
        """
        return self.seal(dumps(value), place)

    def seal(self, data: bytes, place: str) -> bytes:
        """Return bytes, sealed for a place."""
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, data, place.encode())

    def unseal(self, sealed: bytes, place: str) -> bytes:
        """Return the bytes of `seal`.

        Raises:
            ForeignBytesError: they were not sealed by this run, for this place.
        """
        nonce, data = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:]
        try:
            return self._cipher.decrypt(nonce, data, place.encode())
        except (InvalidTag, ValueError):
            raise ForeignBytesError(f"{len(sealed)} foreign bytes at {place}") from None

    def open(self, sealed: bytes, place: str) -> Any:
        """Return the object of `wrap`; raises as `unseal` does."""
        return CODEC.loads(self.unseal(sealed, place))

    def unwrap(self, fields: Mapping[bytes, bytes], stream: str) -> Any:
        """Return the object in an entry of a stream, such as results.

        Raises:
            ForeignBytesError: see `unseal`.
            ItemError: an item cannot be unpickled in this process.
        """
        return loads_named(self.unseal_entry(fields, stream))

    def unseal_entry(self, fields: Mapping[bytes, bytes], stream: str) -> bytes:
        """Return the bytes in an entry of a stream; raises as `unseal` does."""
        if FIELD not in fields:
            raise ForeignBytesError(f"an entry without field 'd' at {stream}")
        return self.unseal(fields[FIELD], stream)
