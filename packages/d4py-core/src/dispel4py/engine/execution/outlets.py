"""Outputs of an instance, and the outlets by which their items leave it, one per edge."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from dispel4py.engine.calls.instance_group import InstanceGroup
from dispel4py.engine.calls.runner import Runner
from dispel4py.engine.execution.ordered_router import take_path
from dispel4py.engine.execution.routing import Router, copy_items, fork_items
from dispel4py.engine.inputs import Batch
from dispel4py.engine.items.assigned_items import AssignedItems
from dispel4py.engine.items.copying import Copier, share_item
from dispel4py.engine.items.item_ids import without_ids
from dispel4py.engine.items.places import PlacedOutput, without_places
from dispel4py.engine.items.sizes import ByteCounter
from dispel4py.engine.planning.plan import Route

#: Local instances that receive a batch together.
Receiver = Runner | InstanceGroup
#: A batch on the stack: its receiver, the input (None for calls of a root), the items.
Work = tuple[Receiver, str | None, Batch | AssignedItems]
#: Returns the items of an output as they go through one outlet.
Prepare = Callable[[list[Any]], list[Any]]


class Outlet(ABC):
    """The outlet of an instance for one edge.

    Args:
        router: the router of the edge.
        prepare: see `Prepare`; None if the items go as they were written.
    """

    def __init__(self, router: Router, prepare: Prepare | None) -> None:
        self.pe = router.route.destination
        self.input = router.route.input
        self._split = router.split
        self._assign = router.assign
        self._prepare = prepare

    @abstractmethod
    def deliver(self, items: list[Any], works: list[Work]) -> None:
        """Route items, and append those for local instances to `works`."""


class LocalOutlet(Outlet):
    """An outlet to instances that are all local.

    Args:
        router: see `Outlet`.
        prepare: see `Outlet`.
        start: returns the runner of a local instance: PE number, instance.
    """

    def __init__(
        self, router: Router, prepare: Prepare | None, start: Callable[[int, int], Runner]
    ) -> None:
        super().__init__(router, prepare)
        self._start = start
        self._runners: list[Runner | None] = [None] * router.instances

    def deliver(self, items: list[Any], works: list[Work]) -> None:
        if self._prepare is not None:
            items = self._prepare(items)
            if not items:  # nothing but punctuation, on an edge that needs none
                return
        for instance, batch in self._split(items):
            works.append((self._runners[instance] or self._started(instance), self.input, batch))

    def _started(self, instance: int) -> Runner:
        runner = self._runners[instance] = self._start(self.pe, instance)
        return runner


class GroupOutlet(Outlet):
    """An outlet to an `InstanceGroup`.

    Args:
        router: see `Outlet`.
        prepare: see `Outlet`.
        group_of: returns the group of a PE.
    """

    def __init__(
        self, router: Router, prepare: Prepare | None, group_of: Callable[[int], InstanceGroup]
    ) -> None:
        super().__init__(router, prepare)
        self._group_of = group_of

    def deliver(self, items: list[Any], works: list[Work]) -> None:
        if self._prepare is not None:
            items = self._prepare(items)
            if not items:
                return
        works.append((self._group_of(self.pe), self.input, self._assign(items)))


class DistributedOutlet(LocalOutlet):
    """An outlet to instances of which some live in other processes.

    Args:
        router: see `Outlet`.
        prepare: see `Outlet`.
        start: see `LocalOutlet`.
        is_local: returns whether an instance is local now: PE number, instance.
        send: sends items to an instance that is not: PE number, instance, input, items.
    """

    def __init__(
        self,
        router: Router,
        prepare: Prepare | None,
        start: Callable[[int, int], Runner],
        is_local: Callable[[int, int], bool],
        send: Callable[[int, int, str, list[Any]], None],
    ) -> None:
        super().__init__(router, prepare, start)
        self._is_local = is_local
        self._send = send

    def deliver(self, items: list[Any], works: list[Work]) -> None:
        if self._prepare is not None:
            items = self._prepare(items)
            if not items:
                return
        pe, runners = self.pe, self._runners
        for instance, batch in self._split(items):
            if self._is_local(pe, instance):
                works.append((runners[instance] or self._started(instance), self.input, batch))
            else:
                self._send(pe, instance, self.input, batch)


class Output:
    """One output of an instance.

    Args:
        name: name of the output.
        written: list of written items.
        counter: counter of their bytes.
        outlets: one per edge; none if the items are results.

    Attributes:
        has_places: items have places, and there is punctuation.
        sent: number of items that were sent, if the run is observed.
        sent_bytes: bytes of the large ones.
    """

    __slots__ = ("counter", "has_places", "name", "outlets", "sent", "sent_bytes", "written")

    def __init__(
        self, name: str, written: list[Any], counter: ByteCounter, outlets: list[Outlet]
    ) -> None:
        self.name = name
        self.written = written
        self.counter = counter
        self.outlets = outlets
        self.has_places = isinstance(written, PlacedOutput)
        self.sent = self.sent_bytes = 0

    def take(self, count: int | None) -> tuple[list[Any], int]:
        """Remove written items.

        Args:
            count: how many, the first ones; None for all.

        Returns:
            The items, and their average size in bytes.
        """
        written, counter = self.written, self.counter
        # Threads of the PE may append meanwhile, so the length of `written` is read only once.
        if count is None:
            items = written[:]
            size = counter.bytes // len(items)
            counter.bytes = 0
        else:
            items = written[:count]
            size = counter.bytes // len(written)
            counter.bytes -= size * len(items)
        del written[: len(items)]
        return items, size


def prepare_for(routes: Sequence[Route], branch: int, copier: Copier) -> Prepare | None:
    """Return the `Prepare` of one of the edges of an output.

    The last edge gets the items themselves, the others get copies: no receiver has the items yet.

    Args:
        routes: all edges of the output.
        branch: index of the edge.
        copier: copies an item.
    """
    route, is_last = routes[branch], branch == len(routes) - 1
    if any(each.path >= 0 for each in routes):
        return _prepare_placed(routes, route, share_item if is_last else copier)
    if not any(each.with_ids for each in routes):
        return None if is_last else partial(copy_items, copier=copier)
    if not route.with_ids:
        return without_ids if is_last else lambda items: copy_items(without_ids(items), copier)
    if len(routes) == 1:
        return None
    return partial(fork_items, branch=branch, copier=share_item if is_last else copier)


def _prepare_placed(routes: Sequence[Route], route: Route, copier: Copier) -> Prepare | None:
    """Return the `Prepare` of one of the edges of an output whose items have places."""
    if len(routes) == 1:
        return None  # the places include this path already
    if route.path < 0:
        return lambda items: copy_items(without_places(items), copier)
    return partial(take_path, path=route.path, copier=copier)
