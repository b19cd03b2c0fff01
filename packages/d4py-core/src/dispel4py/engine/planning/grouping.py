"""`Grouping`: which instance of a destination gets an item."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from dispel4py.core import GROUPING, GenericPE

SHUFFLE = "shuffle"
ALL = "all"
GLOBAL = "global"
GROUP_BY = "group_by"


class Grouping(NamedTuple):
    """Which instance of a destination gets an item.

    Attributes:
        kind: `SHUFFLE`, `ALL`, `GLOBAL` or `GROUP_BY`.
        keys: for `GROUP_BY`, the keys of the group key in an item.
    """

    kind: str
    keys: tuple[Any, ...] = ()

    def __str__(self) -> str:
        return repr(list(self.keys)) if self.kind == GROUP_BY else repr(self.kind)


def grouping_of(pe: GenericPE, input_name: str) -> Grouping:
    """Return the grouping of an input.

    Raises:
        ValueError: the input has an invalid grouping.
    """
    given = pe.inputconnections[input_name].get(GROUPING)
    if given is None or given == SHUFFLE:
        return Grouping(SHUFFLE)
    if given in (ALL, GLOBAL):
        return Grouping(given)
    if isinstance(given, Sequence) and not isinstance(given, str | bytes) and len(given) > 0:
        return Grouping(GROUP_BY, tuple(given))
    raise ValueError(
        f"the grouping {given!r}; it can be a list of keys such as [0], 'all', 'global' or None"
    )


def group_key(item: Any, keys: Sequence[Any]) -> Any:
    """Return the group key of an item: ``item[k]`` for each key."""
    if len(keys) == 1:
        return item[keys[0]]
    return tuple([item[key] for key in keys])
