"""`OutputTable`: the outputs of all local instances, and the routing of what they have written."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from dispel4py.engine.calls.instance_group import InstanceGroup
from dispel4py.engine.calls.runner import Runner
from dispel4py.engine.execution.ordered_router import OrderedRouter
from dispel4py.engine.execution.outlets import (
    DistributedOutlet,
    GroupOutlet,
    LocalOutlet,
    Outlet,
    Output,
    Receiver,
    Work,
    prepare_for,
)
from dispel4py.engine.execution.routing import Router
from dispel4py.engine.items.copying import Copier
from dispel4py.engine.items.places import count_items
from dispel4py.engine.items.sizes import SMALL_BYTES
from dispel4py.engine.planning.plan import Plan, Route


class OutputHandler(Protocol):
    """Takes the items that leave this process."""

    def send(self, pe: int, instance: int, input_name: str, items: list[Any]) -> None:
        """Send items to an instance in another process."""

    def result(self, pe_id: str, output: str, items: list[Any]) -> None:
        """Send results to the caller of the run."""


class OutputTable:
    """The outputs of all local instances.

    Args:
        plan: the plan.
        handler: takes the items that leave the process.
        start: returns the runner of a local instance: PE number, instance.
        is_local: returns whether (PE number, instance) is local; None if all are.
        copier: copies written items.
        has_groups: the instances of a PE are called in the order of the items, as a group.
        counts: outputs count what is written.

    Attributes:
        item_bytes: average size of the items that the `OutputHandler` is getting now.
    """

    def __init__(
        self,
        plan: Plan,
        handler: OutputHandler,
        start: Callable[[int, int], Runner],
        is_local: Callable[[int, int], bool] | None,
        copier: Copier,
        *,
        has_groups: bool,
        counts: bool = False,
    ) -> None:
        self.item_bytes = SMALL_BYTES
        self._plan = plan
        self._handler = handler
        self._start = start
        self._is_local = is_local
        self._copier = copier
        self._has_groups = has_groups
        self._counts = counts
        self._groups: dict[int, InstanceGroup] = {}
        self._position = {pe: i for i, pe in enumerate(plan.order)}
        self._outputs: dict[Receiver, list[Output]] = {}
        self._held: list[Work] = []

    def add(self, runner: Runner, first: Runner | None) -> list[Output]:
        """Add an instance, and return its outputs.

        Args:
            runner: the instance.
            first: an instance with the same lists of written items, if any.
        """
        outputs = self._make_outputs(runner) if first is None else self._outputs[first]
        self._outputs[runner] = outputs
        return outputs

    def collect(self, receiver: Receiver, counts: Sequence[int] | None = None) -> list[Work]:
        """Send what an instance has written; return also what `hold` has kept.

        Args:
            receiver: the instance, or the group.
            counts: how many items of each output, the first ones; None for all.

        Returns:
            The batches for local instances, the first one last.
        """
        works: list[Work] = []
        for i, output in enumerate(self._outputs[receiver]):
            if not output.written:
                continue
            items, size = output.take(None if counts is None else counts[i])
            if self._counts:
                output.sent += count_items(items) if output.has_places else len(items)
                output.sent_bytes += size * len(items)
            self.item_bytes = SMALL_BYTES + size
            if receiver.replay.sent is not None:
                items = receiver.replay.to_send(output.name, items)
            if not items:
                continue
            if not output.outlets:
                self._handler.result(receiver.planned.id, output.name, items)
            for outlet in output.outlets:
                outlet.deliver(items, works)
        if len(works) > 1:
            works.reverse()
            if self._is_local is not None:
                # The bottom of the stack is never further down the graph than its top.
                works.sort(key=self._position_of)
        if self._held:  # it was written first
            works += self._held
            self._held = []
        return works

    def hold(self, receiver: Receiver) -> None:
        """Send what an instance has written, but keep the batches for local instances."""
        self._held = self.collect(receiver)

    def _position_of(self, work: Work) -> int:
        return self._position[work[0].planned.index]

    def _make_outputs(self, runner: Runner) -> list[Output]:
        return [
            Output(
                name,
                runner.written[name],
                runner.counters[name],
                [self._make_outlet(routes, branch, runner) for branch in range(len(routes))],
            )
            for name, routes in runner.planned.routes.items()
        ]

    def _make_outlet(self, routes: Sequence[Route], branch: int, runner: Runner) -> Outlet:
        route = routes[branch]
        destination = self._plan.pes[route.destination]
        make_router = Router if route.path < 0 else OrderedRouter
        router = make_router(
            route,
            destination.instances,
            runner.instance,
            self._copier,
            runner.fail,
            self._has_groups,
            destination.id,
        )
        prepare = prepare_for(routes, branch, self._copier)
        if self._is_local is not None:
            return DistributedOutlet(
                router, prepare, self._start, self._is_local, self._handler.send
            )
        if self._has_groups and destination.instances > 1:
            return GroupOutlet(router, prepare, self._group_of)
        return LocalOutlet(router, prepare, self._start)

    def _group_of(self, pe: int) -> InstanceGroup:
        group = self._groups.get(pe)
        if group is None:
            runners = [self._start(pe, i) for i in range(self._plan.pes[pe].instances)]
            group = self._groups[pe] = InstanceGroup(runners)
            self._outputs[group] = self._outputs[runners[0]]
        return group
