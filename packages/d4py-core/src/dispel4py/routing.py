"""Which instance of its destination each item of a route goes to.

A `Router` belongs to one sending instance.  It splits a batch of written items by receiving
instance; items keep their order on the way to each of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from dispel4py.errors import GroupingError, shorten
from dispel4py.grouping import group_key, stable_hash
from dispel4py.isolation import IMMUTABLE, Isolate, share_item
from dispel4py.item_ids import Item, forked_id
from dispel4py.plan import ALL, GLOBAL, GROUP_BY, Route

#: A batch's items by receiving instance.
Parts = Iterable[tuple[int, list[Any]]]

#: How many keys a router remembers the instance of.
_REMEMBERED_KEYS = 1 << 16


class Router:
    """Splits what one instance writes to one route.

    Args:
        route: the route.
        instances: number of instances of the destination.
        sender: number of the sending instance; senders start shuffling at different receivers.
        isolate: copies an item that goes to several instances.
        on_error: gets an exception and the item that cannot be routed; raises, or drops it.
        in_order: the parts follow each other as the items do, so that there is one per item or
            run of items; else there is one per instance.
    """

    def __init__(
        self,
        route: Route,
        instances: int,
        sender: int,
        isolate: Isolate,
        on_error: Callable[[BaseException, Any], None],
        in_order: bool = False,
    ) -> None:
        self.route = route
        self.instances = instances
        self._next = sender % instances
        self._isolate = isolate
        self._on_error = on_error
        self._in_order = in_order
        self._instance_of: dict[Any, int] = {}
        #: Splits a batch; items keep their order on the way to each instance.
        self.split: Callable[[list[Any]], Parts] = self._way_of(route.grouping.kind)

    def _way_of(self, kind: str) -> Callable[[list[Any]], Parts]:
        if kind == GROUP_BY:
            return self._by_key
        if kind == GLOBAL or self.instances == 1:
            return self._to_first
        return self._to_all if kind == ALL else self._in_turn

    def _to_first(self, items: list[Any]) -> Parts:
        return ((0, items),)

    def _to_all(self, items: list[Any]) -> Parts:
        # All copies are made before the first receiver can touch its own.
        if self.route.with_ids:
            copies = [fork_items(items, i, self._isolate) for i in range(1, self.instances)]
            items = fork_items(items, 0, share_item)
        else:
            copies = [copy_items(items, self._isolate) for _ in range(1, self.instances)]
        if self._in_order:
            together = zip(items, *copies, strict=True)
            return [(i, [item]) for same in together for i, item in enumerate(same)]
        return enumerate([items, *copies])

    def _in_turn(self, items: list[Any]) -> Parts:
        n, first = self.instances, self._next
        self._next = (first + len(items)) % n
        if len(items) == 1:
            return ((first, items),)
        parts = []
        if self._in_order:
            for i, item in enumerate(items, first):
                parts.append((i % n, [item]))
        else:
            for i in range(min(n, len(items))):
                parts.append(((first + i) % n, items[i::n]))
        return parts

    def _by_key(self, items: list[Any]) -> Parts:
        keys = self.route.grouping.keys
        instance_of = self._instance_of
        with_ids = self.route.with_ids
        parts: list[tuple[int, list[Any]]] = []
        part_of: dict[int, list[Any]] = {}
        for item in items:
            data = item.data if with_ids else item
            try:
                key = group_key(data, keys)
            except Exception as error:  # a user's __getitem__ may raise anything
                self._on_error(self._explain("cannot be read", data, error), data)
                continue
            try:
                instance = instance_of[key]
            except Exception:  # not met before, or no key for a dict
                try:
                    instance = self._find(key)
                except Exception as error:  # a user's __hash__ or __eq__ may raise anything too
                    self._on_error(self._explain("cannot be hashed", data, error), data)
                    continue
            if instance in part_of:
                part_of[instance].append(item)
                continue
            if self._in_order:
                part_of.clear()  # another instance ends the run
            part_of[instance] = [item]
            parts.append((instance, part_of[instance]))
        return parts

    def _find(self, key: Any) -> int:
        instance = stable_hash(key) % self.instances
        # Only keys that cannot change are remembered: they are cheap to compare and stay equal.
        parts = key if type(key) is tuple else (key,)
        if IMMUTABLE.issuperset(map(type, parts)) and len(self._instance_of) < _REMEMBERED_KEYS:
            self._instance_of[key] = instance
        return instance

    def _explain(self, what: str, item: Any, error: BaseException) -> GroupingError:
        explained = GroupingError(
            f"the group key {what} from {shorten(item)}: input {self.route.input!r} is grouped by"
            f" {self.route.grouping} ({type(error).__name__}: {error})"
        )
        explained.__cause__ = error
        return explained


def copy_items(items: list[Any], isolate: Isolate) -> list[Any]:
    """A batch for one more receiver; batches are read, never changed, so they can be shared."""
    if IMMUTABLE.issuperset(map(type, items)):
        return items
    return [isolate(item) for item in items]


def fork_items(items: list[Item], way: int, isolate: Isolate) -> list[Item]:
    """The same for items with ids, which have other ones on each of several ways."""
    return [
        Item(forked_id(item_id, way), data if type(data) in IMMUTABLE else isolate(data))
        for item_id, data in items
    ]
