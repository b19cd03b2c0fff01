"""`OrderedRouter`: the router of items with places; see `dispel4py.engine.items.places`.

Punctuation is routed as well.  Where an ordered input has several instances, those that do not get
an item get an `OtherInstance`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dispel4py.engine.execution.routing import RoutedItems, Router
from dispel4py.engine.items.assigned_items import AssignedItems
from dispel4py.engine.items.copying import Copier, share_item
from dispel4py.engine.items.immutable_types import IMMUTABLE
from dispel4py.engine.items.places import LATE, EmptyPlace, OtherInstance, Placed
from dispel4py.engine.planning.grouping import ALL


class OrderedRouter(Router):
    """See `Router`."""

    def _split_for(self, kind: str) -> Callable[[list[Any]], RoutedItems]:
        split = super()._split_for(kind)
        if not self.route.ordered or self.instances == 1 or kind == ALL:
            return split
        return lambda items: self._punctuate_others(split(items))

    def assign(self, items: list[Any]) -> AssignedItems:
        return AssignedItems.of_parts(self.split(items))

    def _to_all(self, items: list[Any]) -> RoutedItems:
        # All copies are made before the first receiver can touch its own.
        first = self.route.path
        others = range(first + 1, first + self.instances)
        copies = [
            take_path([_without_path(item) for item in items], path, self._copier)
            for path in others
        ]
        if self._in_order:
            all_copies = zip(items, *copies, strict=True)
            return [(i, [item]) for same in all_copies for i, item in enumerate(same)]
        return enumerate([items, *copies])

    def _by_key(self, items: list[Any]) -> RoutedItems:
        batches: list[tuple[int, list[Any]]] = []
        for given in items:
            item, instance = given, 0
            if type(item) is Placed:
                found = [*super()._by_key([item.data])]
                if found:
                    ((instance, _),) = found
                elif item.place[0] == LATE:
                    continue
                else:
                    item = EmptyPlace(item.place)  # its key is invalid
            if batches and batches[-1][0] == instance:
                batches[-1][1].append(item)
            else:
                batches.append((instance, [item]))
        return batches if self._in_order else _merge(batches)

    def _punctuate_others(self, routed: RoutedItems) -> RoutedItems:
        batches: list[tuple[int, list[Any]]] = []
        for instance, items in routed:
            batches.append((instance, items))
            punctuation = [OtherInstance(item.place) for item in items if item.place[0] != LATE]
            if punctuation:
                others = (other for other in range(self.instances) if other != instance)
                batches += [(other, punctuation) for other in others]
        return batches if self._in_order else _merge(batches)


def take_path(items: list[Any], path: int, copier: Copier) -> list[Any]:
    """Return items and punctuation with a path added to their places.

    Args:
        items: as they were written.
        path: number of the path.
        copier: copies an item, if there are other paths.
    """
    taken: list[Any] = []
    for item in items:
        place = (*item.place, path)
        if type(item) is not Placed:
            taken.append(EmptyPlace(place))
        elif copier is share_item or type(item.data) in IMMUTABLE:
            taken.append(Placed(place, item.data))
        else:
            taken.append(Placed(place, copier(item.data)))
    return taken


def _without_path(item: Any) -> Any:
    """Return an item without the last path of its place."""
    return item._replace(place=item.place[:-1])


def _merge(routed: RoutedItems) -> list[tuple[int, list[Any]]]:
    """Return one batch for each instance."""
    found: dict[int, list[Any]] = {}
    for instance, items in routed:
        if instance in found:
            found[instance] += items
        else:
            found[instance] = [*items]
    return [*found.items()]
