"""PEs as bytes, of which each instance is made.

Every mapping makes instances in this way, `simple` too: what pickle does not preserve of an object
is then the same on all of them.  Large arrays are left out of the bytes, and copied.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

from dispel4py.core import GenericPE
from dispel4py.engine.items.arrays import is_array
from dispel4py.engine.items.codec import Codec
from dispel4py.engine.items.copying import cannot_carry
from dispel4py.engine.planning.pe_copies import modules_of
from dispel4py.engine.planning.plan import PlannedPE
from dispel4py.exceptions.unwinding import reraise_foreign
from dispel4py.pickling.interned_strings import PrimedMemo, loads_with

#: Arrays and bytearrays of at least so many bytes are left out of the bytes of a PE.
_LARGE_BYTES = 1 << 20


@dataclass(eq=False, repr=False)
class SerializedPE:
    """A PE as bytes.

    Attributes:
        data: the bytes.
        external: large objects that are left out of the bytes.
        is_shared: for each of those, whether something else of the plan uses the same memory.
    """

    data: bytes
    external: list[Any]
    is_shared: list[bool]


def serialize_pe(planned: PlannedPE, codec: Codec) -> SerializedPE:
    """Return a PE as bytes.

    Raises:
        ItemError: the PE cannot be pickled, or holds what has no copy.
    """
    pe = planned.pe
    known = PrimedMemo(is_external=_is_large)
    data = codec.dumps_pe(pe, known)
    if known.used_fallback:  # the fallback pickles locks and the like, which have no copy
        try:
            copy.deepcopy(pe, {**modules_of(pe), **{id(value): value for value in known.external}})
        except BaseException as error:  # a user's __deepcopy__ may raise anything
            reraise_foreign(error)
            raise cannot_carry(pe, error) from error
    return SerializedPE(data, known.external, [])


class PEFactory:
    """Loads a serialized PE, once per instance.

    Args:
        serialized: the PE.
        times: how often, if that is known: the PE is released then.
        owns_arrays: the external objects belong to this process, so that the last instance may have
            them without a copy.
    """

    def __init__(self, serialized: SerializedPE, times: int | None, *, owns_arrays: bool) -> None:
        self._serialized: SerializedPE | None = serialized
        self._left = times
        self._owns_arrays = owns_arrays

    def __call__(self) -> GenericPE:
        serialized = self._serialized
        assert serialized is not None
        is_last = False
        if self._left is not None:
            self._left -= 1
            is_last = self._left <= 0
        if is_last:
            self._serialized = None
        hands_over = is_last and self._owns_arrays

        def load_external(index: int) -> Any:
            value = serialized.external[index]
            needs_no_copy = hands_over and not serialized.is_shared[index] and _is_writable(value)
            if needs_no_copy:
                return value
            # A deep copy of a bytearray copies it twice.
            return bytearray(value) if type(value) is bytearray else copy.deepcopy(value)

        pe: GenericPE = loads_with(serialized.data, load_external)
        return pe


def _is_large(value: Any) -> bool:
    """Return whether a value is a large array or bytearray, in memory that a fork shares."""
    if type(value) is bytearray:
        return len(value) >= _LARGE_BYTES
    if not is_array(value) or value.nbytes < _LARGE_BYTES:
        return False
    owner = owner_of(value)
    if is_array(owner):
        return bool(owner.flags.owndata)
    return type(owner) in (bytearray, bytes)


def _is_writable(value: Any) -> bool:
    """Return whether a value can be written to, as its copy could be."""
    return type(value) is bytearray or bool(value.flags.writeable)


def owner_of(value: Any) -> Any:
    """Return the object that owns the memory of an array: another array, or a buffer."""
    while True:
        base = value.obj if type(value) is memoryview else getattr(value, "base", None)
        if base is None:
            return value
        value = base
