"""Copies of PEs for runs in one process, also of those with objects that cannot be copied.

Where a deep copy may differ from what pickle makes, a PE is pickled, so that its instances are as
on any other mapping.  A lock, a socket, a generator or a connection to a database has no copy.  In
the process that made the object, a copy of the PE refers to the same object, and has its own copies
of all others.
"""

from __future__ import annotations

import copy
import pickle
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any

from dispel4py.core import GenericPE
from dispel4py.engine.items.arrays import is_array
from dispel4py.engine.items.codec import Codec
from dispel4py.engine.items.copying import cannot_carry
from dispel4py.engine.planning.pe_copies import modules_of
from dispel4py.engine.planning.plan import Plan, PlannedPE
from dispel4py.engine.planning.serialized_pes import PEFactory, serialize_pe
from dispel4py.errors import GraphError, ItemError
from dispel4py.exceptions.unwinding import reraise_foreign
from dispel4py.files.open_files import REFUSE_FILES, OpenFileError, describe_file, is_standard
from dispel4py.files.reachable_files import reachable_files
from dispel4py.object_types import is_of_type
from dispel4py.pickling.interned_strings import NullFile, drop_buffer


def with_local_copies(plan: Plan) -> Plan:
    """Return the plan for a mapping whose instances all live in this process.

    Without this, instances are made by `copy.deepcopy`, which gives other copies of some objects
    than pickle does, and a PE that holds a lock is refused.
    """
    pes = (replace(planned, factory=LocalCopyFactory(planned)) for planned in plan.pes)
    return replace(plan, pes=tuple(pes))


class LocalCopyFactory:
    """Makes the PEs of the instances of a PE; see `PlannedPE.factory`.

    Args:
        planned: the PE in the plan.
    """

    def __init__(self, planned: PlannedPE) -> None:
        self._planned = planned
        self._shared: dict[int, Any] = {}
        self._from_pickle: PEFactory | None = None
        if _copies_may_differ(planned.pe):
            with suppress(ItemError):
                serialized = serialize_pe(planned, Codec())
                times = None if planned.replicated else planned.instances
                self._from_pickle = PEFactory(serialized, times, owns_arrays=False)

    def __call__(self) -> GenericPE:
        """Return a copy of the PE.

        Raises:
            GraphError: the PE cannot be copied, and no attribute is the reason; or it has an open
                file.
        """
        if self._from_pickle is not None:
            try:
                return self._from_pickle()
            except BaseException as error:  # a user's __setstate__ may raise anything
                reraise_foreign(error)
                self._from_pickle = None
        return self._deep_copy()

    def _deep_copy(self) -> GenericPE:
        pe = self._planned.pe
        try:
            return copy.deepcopy(pe, {**modules_of(pe), **self._shared})
        except BaseException as error:  # a user's __deepcopy__ or __reduce__ may raise anything
            reraise_foreign(error)
            reason = error
        if not self._shared:
            try:
                self._shared = {id(value): value for value in _find_uncopiable(pe)}
            except OpenFileError as error:
                reason = error
            if self._shared:
                return self._deep_copy()
        raise GraphError([f"{self._planned.id}: {cannot_carry(pe, reason)}"]) from reason


def _copies_may_differ(pe: GenericPE) -> bool:
    """Return whether `copy.deepcopy` may make another copy of a PE than pickle.

    Both ask an object how it is reduced, unless its class defines ``__deepcopy__``.  Where that is
    not so, a deep copy takes a quarter of the time and half of the memory, in a PE of many objects.
    """
    try:
        _DeepCopyFinder(NullFile(), protocol=5, buffer_callback=drop_buffer).dump(pe)
    except BaseException as error:  # one was found, or the PE cannot be pickled in this way
        reraise_foreign(error)
        return True
    return False


class _FoundError(Exception):
    pass


class _DeepCopyFinder(pickle.Pickler):
    """Raises an error when it comes to an object whose class defines how it is deep-copied."""

    def reducer_override(self, value: Any) -> Any:
        kind = type(value)
        if hasattr(kind, "__deepcopy__") and not (is_array(value) or _is_scalar(kind)):
            raise _FoundError
        return NotImplemented


def _is_scalar(kind: type) -> bool:
    """Return whether a type is one of the numbers, dates and strings of NumPy."""
    numpy = sys.modules.get("numpy")
    return kind.__module__ == "numpy" and numpy is not None and issubclass(kind, numpy.generic)


def _find_uncopiable(pe: GenericPE) -> list[Any]:
    """Return the objects in attributes of a PE, or in containers there, that cannot be copied.

    An object is shared as a whole: a partial copy of a client that uses the socket of the original
    would work for neither.

    Raises:
        OpenFileError: an open file is among them.
    """
    known = {**modules_of(pe), id(pe): pe}
    found = [*_iterate_uncopiable(pe, known, set())]
    for file in [*(value for value in found if type(value) in REFUSE_FILES), *reachable_files(pe)]:
        if not is_standard(file):
            raise OpenFileError(f"{describe_file(file)} is open")
    # An object that only refers to another of them can be copied with the same reference.
    return [
        value
        for value in found
        if not _has_copy(value, {**known, **{id(v): v for v in found if v is not value}})
    ]


def _iterate_uncopiable(value: Any, known: dict[int, Any], seen: set[int]) -> Iterator[Any]:
    for part in _parts(value):
        if id(part) in seen:
            continue
        seen.add(id(part))
        if _has_copy(part, known):
            continue
        if is_of_type(part, GenericPE) or type(part) in (dict, list, tuple, set):
            yield from _iterate_uncopiable(part, known, seen)
        else:
            yield part


def _has_copy(value: Any, known: dict[int, Any]) -> bool:
    try:
        copy.deepcopy(value, {**known})
    except BaseException as error:  # a user's __deepcopy__ or __reduce__ may raise anything
        reraise_foreign(error)
        return False
    return True


def _parts(value: Any) -> list[Any]:
    if is_of_type(value, GenericPE):
        return [*vars(value).values()]
    return [*value.keys(), *value.values()] if is_of_type(value, dict) else [*value]
