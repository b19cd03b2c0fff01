"""`RunState`: what the instances of a run share in the driver."""

from __future__ import annotations

import asyncio
import secrets

from d4py_dask.channel import Batch
from d4py_dask.instance import CODEC
from d4py_dask.limits import DaskLimits
from dispel4py.mapping import (
    FailureCollector,
    Plan,
    ResultCollector,
    RunOptions,
    events_of,
    make_bundle,
)

#: Number of a PE, and of its instance.
Address = tuple[int, int]


class RunState:
    """What the instances of a run share.

    Args:
        plan: the plan.
        options: options of the run.
        limits: limits of the run.

    Attributes:
        plan: the plan.
        options: options of the run.
        limits: limits of the run.
        id: a name for the run, unlike those of others in the cluster.
        bundle: the plan in the form in which instances load it.
        results: collects the results.
        failures: collects the items that were skipped.
        events: passes events of the run to its observers.
        inboxes: batches that wait for an instance, and a None from each instance upstream that has
            ended.
    """

    def __init__(self, plan: Plan, options: RunOptions, limits: DaskLimits) -> None:
        self.plan = plan
        self.options = options
        self.limits = limits
        self.id = secrets.token_hex(4)
        self.bundle = make_bundle(plan, CODEC, start_method="spawn")
        self.results = ResultCollector(options.on_result)
        self.events = events_of(options)
        self.failures = FailureCollector(options.on_failure, plan.limits, self.events.failure)
        self.inboxes: dict[Address, asyncio.Queue[Batch]] = {
            (pe, instance): asyncio.Queue(limits.waiting_batches)
            for pe in plan.order
            for instance in range(plan.pes[pe].instances)
        }
        self._pauses: dict[Address, tuple[int, ...]] = {}
        self._pauses_changed = asyncio.Condition()

    async def pause(self, address: Address, roots: tuple[int, ...]) -> None:
        """Have roots wait for an ordered input of an instance; those of before continue."""
        async with self._pauses_changed:
            self._pauses[address] = roots
            self._pauses_changed.notify_all()

    async def until_continued(self, pe: int) -> None:
        """Wait until a PE, if it is a root, need not wait for any ordered input."""
        if not self.plan.pes[pe].is_root:
            return
        async with self._pauses_changed:
            await self._pauses_changed.wait_for(
                lambda: all(pe not in roots for roots in self._pauses.values())
            )
