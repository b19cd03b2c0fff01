"""Copies of lists and dicts of a few lists and dicts, such as a record with columns of numbers.

Pickle makes a copy of every number and string.  Here they are shared, since they cannot change, and
each container is checked and copied by loops in C.  Many small containers, and deeper ones, take
pickle less time, so that this returns early if there are any.
"""

from __future__ import annotations

from typing import Any

_COPIED = frozenset({list, dict})
#: Pickle copies more containers in less time.
_MOST = 4


def copy_nested(item: Any, immutable: set[type]) -> Any:
    """Return a copy of a list, tuple or dict of immutable values and flat lists, tuples and dicts.

    Args:
        item: the list, tuple or dict.
        immutable: types of immutable values.

    Returns:
        None if there is anything else in it, or one object in two places.
    """
    kind = type(item)
    inner: list[Any] = []
    for value in item.values() if kind is dict else item:
        inside = type(value)
        if inside in immutable:
            continue
        # Flat: a list, tuple or dict of immutable values alone.
        if inside is list or inside is tuple:
            is_flat = immutable.issuperset(map(type, value))
        else:
            is_flat = (
                inside is dict
                and immutable.issuperset(map(type, value.values()))
                and immutable.issuperset(map(type, value))
            )
        if not is_flat or len(inner) == _MOST:
            return None
        inner.append(value)
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
    copies = [value.copy() if type(value) in _COPIED else value for value in item]
    return copies if kind is list else tuple(copies)
