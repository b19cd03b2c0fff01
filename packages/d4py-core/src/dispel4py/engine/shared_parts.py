"""Copies of a PE that holds what cannot be copied, for runs that stay in one process.

A lock, a socket, a generator or a connection to a database has no copy.  In the process that made
it a PE can use it all the same: its copy refers to the very same object, and has all else for
itself.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

from dispel4py.core import GenericPE
from dispel4py.engine.copying import cannot_carry
from dispel4py.engine.pe_copies import modules_of
from dispel4py.engine.plan import PlannedPE
from dispel4py.errors import GraphError
from dispel4py.files.open_files import REFUSE_FILES, OpenFileError, describe_file
from dispel4py.files.reachable_files import reachable_files


class PartialCopyFactory:
    """Makes the PEs of the instances of a planned PE; see `PlannedPE.factory`.

    Args:
        planned: the PE in the plan.
    """

    def __init__(self, planned: PlannedPE) -> None:
        self._planned = planned
        self._shared: dict[int, Any] = {}

    def __call__(self) -> GenericPE:
        """Return a copy of the PE.

        Raises:
            GraphError: it cannot be copied, and that is not because of an attribute; or it holds an
                open file.
        """
        pe = self._planned.pe
        try:
            return copy.deepcopy(pe, {**modules_of(pe), **self._shared})
        except Exception as error:  # a user's __deepcopy__ or __reduce__ may raise anything
            reason: Exception = error
        if not self._shared:
            try:
                self._shared = {id(value): value for value in _parts_to_share(pe)}
            except OpenFileError as error:
                reason = error
            if self._shared:
                return self()
        raise GraphError([f"{self._planned.id}: {cannot_carry(pe, reason)}"]) from reason


def _parts_to_share(pe: GenericPE) -> list[Any]:
    """Return what a PE has in its attributes, or in containers there, that cannot be copied.

    What an object holds belongs together: half a copy of a client that goes on with its original's
    socket could work for neither.  So an object is shared as a whole.

    Raises:
        OpenFileError: an open file is among it.
    """
    known = {**modules_of(pe), id(pe): pe}
    found = [*_without_copy(pe, known, set())]
    for file in [*(value for value in found if type(value) in REFUSE_FILES), *reachable_files(pe)]:
        raise OpenFileError(f"{describe_file(file)} is open")
    # One that only refers to another of them has a copy that does so, too.
    return [
        value
        for value in found
        if not _has_copy(value, {**known, **{id(v): v for v in found if v is not value}})
    ]


def _without_copy(value: Any, known: dict[int, Any], seen: set[int]) -> Iterator[Any]:
    for part in _parts(value):
        if id(part) in seen:
            continue
        seen.add(id(part))
        if _has_copy(part, known):
            continue
        if isinstance(part, GenericPE) or type(part) in (dict, list, tuple, set):
            yield from _without_copy(part, known, seen)
        else:
            yield part


def _has_copy(value: Any, known: dict[int, Any]) -> bool:
    try:
        copy.deepcopy(value, {**known})
    except Exception:  # a user's __deepcopy__ or __reduce__ may raise anything
        return False
    return True


def _parts(value: Any) -> list[Any]:
    if isinstance(value, GenericPE):
        return [*vars(value).values()]
    return [*value.keys(), *value.values()] if isinstance(value, dict) else [*value]
