"""`AssignedItems`: a batch in its own order, with the receiving instance of each item.

Instances of one process are called in the order of the items; other processes get one part each.

    >>> assigned = AssignedItems([0, 0, 2, 0], ["a", "b", "c", "d"])
    >>> assigned.runs()
    [(0, ['a', 'b']), (2, ['c']), (0, ['d'])]
    >>> assigned.by_instance()
    [(0, ['a', 'b', 'd']), (2, ['c'])]
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from itertools import compress, groupby
from operator import itemgetter
from typing import Any

_FIRST = itemgetter(0)
#: Instances for each of which a batch may be read once.
_FEW = 4


class AssignedItems:
    """A batch and the instances that get its items.

    Args:
        instances: number of the instance of each item; bytes, which are counted quickly, if no
            number is larger than a byte.
        items: the items.
    """

    __slots__ = ("instances", "items")

    def __init__(self, instances: Sequence[int], items: list[Any]) -> None:
        self.instances = instances
        self.items = items

    @classmethod
    def of_parts(cls, parts: Iterable[tuple[int, list[Any]]]) -> AssignedItems:
        """Return parts, each with its instance, as one batch."""
        pairs = [(instance, item) for instance, items in parts for item in items]
        return cls([instance for instance, _ in pairs], [item for _, item in pairs])

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, part: slice) -> AssignedItems:
        return AssignedItems(self.instances[part], self.items[part])

    def counts(self, instances: int) -> Mapping[int, int]:
        """Return instance → number of its items, of those that get some.

        Args:
            instances: how many there are.
        """
        found = self.instances
        if isinstance(found, bytes) and instances <= len(found):
            return {i: count for i in range(instances) if (count := found.count(i))}
        return Counter(found)

    def runs(self) -> list[tuple[int, list[Any]]]:
        """Return the items by instance: one part for each run of items of the same."""
        pairs = zip(self.instances, self.items, strict=True)
        return [
            (instance, [item for _, item in run]) for instance, run in groupby(pairs, key=_FIRST)
        ]

    def by_instance(self) -> list[tuple[int, list[Any]]]:
        """Return the items by instance: one part for each instance, in order inside."""
        found = self.instances
        if isinstance(found, bytes):
            used = sorted(set(found), key=found.index)
            if len(used) <= _FEW:  # quicker than a loop, though it reads the batch for each
                return [
                    (instance, [*compress(self.items, found.translate(_selector(instance)))])
                    for instance in used
                ]
        parts: dict[int, list[Any]] = {instance: [] for instance in dict.fromkeys(self.instances)}
        for instance, item in zip(self.instances, self.items, strict=True):
            parts[instance].append(item)
        return [*parts.items()]


@cache
def _selector(instance: int) -> bytes:
    """Return the table for `bytes.translate` that makes 1 of an instance, and 0 of others."""
    return bytes(instance) + b"\1" + bytes(255 - instance)
