"""Copies of lists and dicts of lists and dicts, such as records with columns of numbers.

Pickle makes a copy of every number and string.  Here they are shared, since they cannot change, and
each container is checked and copied by loops in C.  Deeper containers take pickle less time.
"""

from __future__ import annotations

from gc import get_referents
from typing import Any

_COPIED = frozenset({list, dict})
_CONTAINERS = _COPIED | {tuple}
#: More containers than this are checked together.
_FEW = 4


def copy_nested(item: Any, immutable: set[type]) -> Any:
    """Return a copy of a list, tuple or dict of immutable values and flat lists, tuples and dicts.

    Args:
        item: the list, tuple or dict.
        immutable: types of immutable values.

    Returns:
        None if there is anything else in it, or one object in two places.
    """
    kind = type(item)
    values = [*item.values()] if kind is dict else item
    inner = [value for value in values if type(value) not in immutable]
    if not _CONTAINERS.issuperset(map(type, inner)) or not _are_flat(inner, immutable):
        return None
    if len(inner) > 1 and len(set(map(id, inner))) < len(inner):
        return None
    if kind is dict:
        if not immutable.issuperset(map(type, item)):
            return None
        made = item.copy()
        for key, value in item.items():
            if type(value) in _COPIED:
                made[key] = value.copy()
        return made
    copies = [value.copy() if type(value) in _COPIED else value for value in values]
    return copies if kind is list else tuple(copies)


def _are_flat(containers: list[Any], immutable: set[type]) -> bool:
    """Return whether lists, tuples and dicts hold immutable values alone."""
    if len(containers) > _FEW:
        return immutable.issuperset(map(type, get_referents(*containers)))
    return all(
        immutable.issuperset(map(type, get_referents(value) if type(value) is dict else value))
        for value in containers
    )
