"""`Router`: selects the receiving instance of each item of an edge.

A router belongs to one sending instance.  It splits a batch by receiving instance, and keeps the
order of the items for each of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from itertools import chain, islice
from operator import itemgetter
from typing import Any

from dispel4py.engine.items.assigned_items import AssignedItems
from dispel4py.engine.items.copying import Copier, share_item
from dispel4py.engine.items.immutable_types import IMMUTABLE
from dispel4py.engine.items.item_ids import Item, branch_id, without_ids
from dispel4py.engine.items.stable_hash import stable_hash
from dispel4py.engine.planning.grouping import ALL, GLOBAL, GROUP_BY
from dispel4py.engine.planning.plan import Route
from dispel4py.errors import GroupingError, describe_exception, name_list, shorten
from dispel4py.exceptions.unwinding import reraise_foreign

#: The items of a batch by receiving instance.
RoutedItems = Iterable[tuple[int, list[Any]]]

#: Problems of a group key, for messages.
_NOT_READ, _NOT_HASHED = "cannot be read", "cannot be hashed"
#: Most keys of a dict that a message lists.
_MAX_LISTED = 10
#: Most keys whose instance a router caches.
_CACHED_KEYS = 1 << 16


class Router:
    """Routes the items of one sending instance for one edge.

    Args:
        route: the edge.
        instances: number of instances of the destination.
        sender: number of the sending instance; senders start shuffling at different receivers.
        copier: copies an item that goes to several instances.
        on_error: called with an exception and the item that cannot be routed; raises, or returns
            to drop the item.
        in_order: return batches in the order of the items, one per item or run of items; else one
            per instance.
        receiver: id of the destination, for messages.
    """

    def __init__(
        self,
        route: Route,
        instances: int,
        sender: int,
        copier: Copier,
        on_error: Callable[[BaseException, Any], None],
        in_order: bool = False,
        receiver: str = "",
    ) -> None:
        self.route = route
        self._receiver = receiver
        self.instances = instances
        self._next = sender % instances
        self._copier = copier
        self._on_error = on_error
        self._in_order = in_order
        self._instance_of = _InstanceOf(instances)
        #: See `AssignedItems`.
        self._pack: Callable[[Iterable[int]], Sequence[int]] = bytes if instances <= 256 else list
        keys = route.grouping.keys
        #: As `group_key`.
        self._key_of: Callable[[Any], Any] = itemgetter(*keys) if keys else tuple
        #: Splits a batch by instance.
        self.split: Callable[[list[Any]], RoutedItems] = self._split_for(route.grouping.kind)

    def _split_for(self, kind: str) -> Callable[[list[Any]], RoutedItems]:
        if kind == GROUP_BY:
            return self._by_key
        if kind == GLOBAL or self.instances == 1:
            return self._to_first
        return self._to_all if kind == ALL else self._round_robin

    def _to_first(self, items: list[Any]) -> RoutedItems:
        return ((0, items),)

    def _to_all(self, items: list[Any]) -> RoutedItems:
        # All copies are made before the first receiver can touch its own.
        if self.route.with_ids:
            copies = [fork_items(items, i, self._copier) for i in range(1, self.instances)]
            items = fork_items(items, 0, share_item)
        else:
            copies = [copy_items(items, self._copier) for _ in range(1, self.instances)]
        if self._in_order:
            all_copies = zip(items, *copies, strict=True)
            return [(i, [item]) for same in all_copies for i, item in enumerate(same)]
        return enumerate([items, *copies])

    def _round_robin(self, items: list[Any]) -> RoutedItems:
        n, first = self.instances, self._next
        self._next = (first + len(items)) % n
        if len(items) == 1:
            return ((first, items),)
        if self._in_order:
            return [(i % n, [item]) for i, item in enumerate(items, first)]
        return [((first + i) % n, items[i::n]) for i in range(min(n, len(items)))]

    def assign(self, items: list[Any]) -> AssignedItems:
        """Return the items with the instance of each; like `split`, in the order of the items."""
        if self.route.grouping.kind == GROUP_BY:
            return self._assign_by_key(items)
        return AssignedItems.of_parts(self.split(items))

    def _by_key(self, items: list[Any]) -> RoutedItems:
        if len(items) == 1:
            return self._one_by_key(items)
        assigned = self._assign_by_key(items)
        return assigned.runs() if self._in_order else assigned.by_instance()

    def _assign_by_key(self, items: list[Any]) -> AssignedItems:
        items, keys = self._keys(items)
        if _are_plain(keys):
            with suppress(Exception):  # of a user's time zone, say; `_instance_for` handles it
                return AssignedItems(self._pack(map(self._instance_of.__getitem__, keys)), items)
        found = [*map(self._instance_for, keys, items)]
        if None in found:
            items = [
                item for item, instance in zip(items, found, strict=True) if instance is not None
            ]
        return AssignedItems([instance for instance in found if instance is not None], items)

    def _one_by_key(self, items: list[Any]) -> RoutedItems:
        """Do the same for a single item, faster."""
        data = items[0].data if self.route.with_ids else items[0]
        try:
            key = self._key_of(data)
        except BaseException as error:  # a user's __getitem__ may raise anything
            self._on_error(self._explain(_NOT_READ, data, error), data)
            return ()
        instance = self._instance_for(key, items[0])
        return () if instance is None else ((instance, items),)

    def _instance_for(self, key: Any, item: Any) -> int | None:
        """Return the instance of a key; None if the key is invalid and the item is skipped."""
        try:
            if _is_plain(key):
                return self._instance_of[key]
            return stable_hash(key) % self.instances
        except BaseException as error:  # a user's class may raise anything
            data = item.data if self.route.with_ids else item
            self._on_error(self._explain(_NOT_HASHED, data, error), data)
            return None

    def _keys(self, items: list[Any]) -> tuple[list[Any], list[Any]]:
        """Return the items that have a key, and their keys."""
        with_ids, key_of = self.route.with_ids, self._key_of
        try:
            keys = [*map(key_of, without_ids(items) if with_ids else items)]
            if len(keys) == len(items):
                return items, keys  # else one has raised StopIteration, which ends `map`
        except BaseException as error:  # a user's __getitem__ may raise anything
            reraise_foreign(error)  # else there is one that has none: see which
        found: list[Any] = []
        keys = []
        for item in items:
            data = item.data if with_ids else item
            try:
                keys.append(key_of(data))
            except BaseException as error:
                self._on_error(self._explain(_NOT_READ, data, error), data)
                continue
            found.append(item)
        return found, keys

    def _explain(self, what: str, item: Any, error: BaseException) -> GroupingError:
        reraise_foreign(error)
        of = f" of {self._receiver}" if self._receiver else ""
        advice = "" if what == _NOT_HASHED else f"; {_missing(item, self.route.grouping.keys)}"
        explained = GroupingError(
            f"the group key {what} from {shorten(item)}: input {self.route.input!r}{of} is grouped"
            f" by {self.route.grouping} ({describe_exception(error)}){advice}"
        )
        explained.__cause__ = error
        return explained


class _InstanceOf(dict[Any, int]):
    """Plain key → its instance; so many are cached.

    Only plain keys are: they are cheap to compare and stay equal.

    Args:
        instances: number of instances.
    """

    def __init__(self, instances: int) -> None:
        super().__init__()
        self._instances = instances

    def __missing__(self, key: Any) -> int:
        instance = stable_hash(key) % self._instances
        if len(self) < _CACHED_KEYS:
            self[key] = instance
        return instance


def _missing(item: Any, keys: Sequence[Any]) -> str:
    """Return which keys of a grouping an item lacks, and what to do."""
    advice = "send items that have it, or change the grouping"
    if isinstance(item, Mapping):
        names = name_list([*islice(item, _MAX_LISTED)]) + (" …" if len(item) > _MAX_LISTED else "")
        return f"this dict has the keys {names}: {advice}"
    if isinstance(item, Sequence) and not isinstance(item, str | bytes):
        if all(isinstance(key, int) for key in keys):
            return f"this {type(item).__name__} has {len(item)} elements, from 0: {advice}"
        return f"a {type(item).__name__} has elements by number: send dicts, or group by numbers"
    if hasattr(item, "__getitem__"):
        return f"its __getitem__() has to take the keys of the grouping: {advice}"
    return "items that are grouped have to be tuples, lists or dicts, or have a __getitem__()"


def _is_plain(key: Any) -> bool:
    """Return whether a key has an immutable type, or is a tuple of such.

    Objects of other types may equal a plain key by their own ``__eq__``.
    """
    kind = type(key)
    return kind in IMMUTABLE or (kind is tuple and IMMUTABLE.issuperset(map(type, key)))


def _are_plain(keys: list[Any]) -> bool:
    """Return whether all keys are plain."""
    kinds = set(map(type, keys))
    if tuple in kinds:
        tuples = keys if len(kinds) == 1 else [key for key in keys if type(key) is tuple]
        kinds.discard(tuple)
        kinds.update(map(type, chain.from_iterable(tuples)))
    return kinds <= IMMUTABLE


def copy_items(items: list[Any], copier: Copier) -> list[Any]:
    """Return a batch for another receiver; batches are never changed, so they can be shared."""
    if IMMUTABLE.issuperset(map(type, items)):
        return items
    return [copier(item) for item in items]


def fork_items(items: list[Item], branch: int, copier: Copier) -> list[Item]:
    """Return a batch of items with ids for another receiver, with other ids."""
    return [
        Item(branch_id(item_id, branch), data if type(data) in IMMUTABLE else copier(data))
        for item_id, data in items
    ]
